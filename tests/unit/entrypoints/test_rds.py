"""Databases through the deployed functions: RDS's events, starts and stops, and what their roles allow of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from chalicelib.domain.resources import CLUSTER, Place, ResourceKind
from chalicelib.domain.rules import Override, OverrideKind, RuleState
from chalicelib.entrypoints.discover import discover
from chalicelib.entrypoints.rds_state import PATTERN, rds_state
from chalicelib.entrypoints.reconcile import reconcile
from scripts.policies import TABLES, policy
from tests.contract.conftest_aws import REGION
from tests.unit.entrypoints.conftest import CONTEXT, documented
from tests.unit.entrypoints.test_handlers import message, sqs_event
from tests.unit.entrypoints.test_policies import ACCOUNT, allowed, call_api, refused

if TYPE_CHECKING:
    from tests.unit.entrypoints.conftest import Stage

HERE = Place(ResourceKind.RDS, REGION)
HALF_HOUR = timedelta(minutes=30)
MASTER = {"MasterUsername": "somebody", "MasterUserPassword": "not-a-secret"}


def database_rule(stage: Stage, id_: str, **changes: Any) -> None:
    alone = {"kind": ResourceKind.RDS, "http": (), "load_balancer_id": None}
    stage.add_rule(id_, **(alone | changes))


def windows_far_from(now: datetime) -> dict[str, str]:
    """Three days away, and the backup half a day from the maintenance: moto refuses windows whose hours meet."""
    maintenance = now + timedelta(days=3)
    backup = maintenance + timedelta(hours=12)
    return {
        "PreferredMaintenanceWindow": f"{maintenance:%a:%H:%M}-{maintenance + HALF_HOUR:%a:%H:%M}".lower(),
        "PreferredBackupWindow": f"{backup:%H:%M}-{backup + HALF_HOUR:%H:%M}",
    }


@pytest.mark.parametrize("hour", range(24))
def test_a_database_of_these_tests_can_be_made_at_any_hour(stage: Stage, hour: int) -> None:
    """CI failed at 13:10 UTC: moto's own backup window begins at 13:14."""
    rds: Any = boto3.client("rds", region_name=REGION)
    windows = windows_far_from(datetime(2026, 11, 25, hour, 14, tzinfo=UTC))
    settings = {"Engine": "mysql", "DBInstanceClass": "db.t4g.micro", "AllocatedStorage": 20}
    made = rds.create_db_instance(DBInstanceIdentifier=f"at-{hour}", **settings, **MASTER, **windows)
    assert made["DBInstance"]["PreferredBackupWindow"] == windows["PreferredBackupWindow"]


def make(name: str, *, cluster: bool) -> Any:
    """A database far from its maintenance window, whatever the day is: the functions have a clock of their own."""
    rds: Any = boto3.client("rds", region_name=REGION)
    window = windows_far_from(datetime.now(UTC))
    for listed in rds.describe_db_instances()["DBInstances"]:
        rds.delete_db_instance(DBInstanceIdentifier=listed["DBInstanceIdentifier"], SkipFinalSnapshot=True)
    for listed in rds.describe_db_clusters()["DBClusters"]:
        rds.delete_db_cluster(DBClusterIdentifier=listed["DBClusterIdentifier"], SkipFinalSnapshot=True)
    if cluster:
        rds.create_db_cluster(DBClusterIdentifier=name, Engine="aurora-mysql", **MASTER, **window)
        rds.stop_db_cluster(DBClusterIdentifier=name)
    else:
        settings = {"Engine": "mysql", "DBInstanceClass": "db.t4g.micro", "AllocatedStorage": 20}
        rds.create_db_instance(DBInstanceIdentifier=name, **settings, **MASTER, **window)
        rds.stop_db_instance(DBInstanceIdentifier=name)
    return rds


def test_an_event_of_an_instance_looks_at_its_rule_and_carries_aws_word(stage: Stage) -> None:
    database_rule(stage, "my-db-instance")
    stage.calls.clear()
    assert rds_state(documented("rds_instance"), CONTEXT) == {"rules": 1}
    assert refused(stage, "rds_state") == []
    (sent,) = stage.messages()
    assert (sent.rule_ids, sent.place, sent.cause) == (("ru_1",), HERE, "restarted by aws")


def test_an_event_of_a_cluster_is_not_one_of_an_instance_of_its_name(stage: Stage) -> None:
    database_rule(stage, "my-db-cluster")
    assert rds_state(documented("rds_cluster"), CONTEXT) == {"rules": 0}
    stage.add_rule(f"{CLUSTER}my-db-cluster", "ru_2", kind=ResourceKind.RDS, http=(), load_balancer_id=None)
    assert rds_state(documented("rds_cluster"), CONTEXT) == {"rules": 1}
    (sent,) = stage.messages()
    assert (sent.rule_ids, sent.cause) == (("ru_2",), "state change")


@pytest.mark.parametrize(
    "detail",
    [
        {},
        "text",
        {"SourceArn": 7},
        {"SourceArn": "arn:aws:rds:us-east-1:123456789012:snapshot:x"},
        {"SourceArn": "arn:aws:rds:us-east-1:123456789012:db:" + "x" * 64},
        {"SourceArn": "arn:aws:rds:us-east-1:123456789012:db:a:b"},
        {"SourceIdentifier": "my-db-instance"},
    ],
)
def test_an_event_of_no_database_is_passed_over(stage: Stage, detail: object) -> None:
    database_rule(stage, "my-db-instance")
    assert rds_state(documented("rds_instance", detail=detail), CONTEXT) == {"rules": 0}


@pytest.mark.parametrize("name", ["rds_instance", "rds_cluster"])
def test_the_pattern_is_that_of_the_documented_events(name: str) -> None:
    event = documented(name)
    assert all(event[field] in allowed_ for field, allowed_ in PATTERN.items())


@pytest.mark.parametrize("cluster", [False, True], ids=["instance", "cluster"])
def test_reconcile_starts_and_stops_a_database_with_no_more_than_its_rights(stage: Stage, cluster: bool) -> None:
    rds = make("my-db", cluster=cluster)
    id_ = f"{CLUSTER}my-db" if cluster else "my-db"
    database_rule(stage, id_)
    now, rules = datetime.now(UTC), stage.stores.rules
    warm = Override(OverrideKind.WARM_UP, now + timedelta(hours=1), "ak_1")
    stage.stores.status.set_override(rules.get("ru_1"), warm, now)
    stage.calls.clear()
    reconcile(sqs_event(message("ru_1", place=HERE, cause="wake")), CONTEXT)
    assert rules.get("ru_1").status.state is RuleState.STARTING
    assert status_of(rds, cluster=cluster) == "available"
    cool = Override(OverrideKind.COOL_DOWN, now + timedelta(hours=1), "ak_1", force=True)
    stage.stores.status.set_override(rules.get("ru_1"), cool, now)
    reconcile(sqs_event(message("ru_1", place=HERE, cause="cool-down")), CONTEXT)
    assert status_of(rds, cluster=cluster) == "stopped"
    asked = {operation for service, operation, _ in stage.calls if service == "rds"}
    what = "Cluster" if cluster else "Instance"
    assert {f"StartDB{what}", f"StopDB{what}"} <= asked
    assert refused(stage, "reconcile") == []


def status_of(rds: Any, *, cluster: bool) -> str:
    if cluster:
        return rds.describe_db_clusters()["DBClusters"][0]["Status"]
    return rds.describe_db_instances()["DBInstances"][0]["DBInstanceStatus"]


def test_discover_may_look_for_the_tags_of_databases(stage: Stage) -> None:
    make("my-db", cluster=False)
    far = {"tags": (("env", "staging"),), "kind": ResourceKind.RDS, "http": (), "load_balancer_id": None}
    stage.add_rule("some-db", **far)
    stage.calls.clear()
    discover(documented("schedule"), CONTEXT)
    asked = {operation for service, operation, _ in stage.calls if service == "rds"}
    assert asked == {"DescribeDBInstances", "DescribeDBClusters"}
    assert refused(stage, "discover") == []


def test_no_function_but_the_worker_may_stop_a_database() -> None:
    for function in TABLES:
        for action, part in (("rds:StopDBInstance", "db"), ("rds:StopDBCluster", "cluster")):
            arn = f"arn:aws:rds:{REGION}:{ACCOUNT}:{part}:my-db"
            assert allowed(policy(function), action, arn) is (function == "reconcile")
            assert not allowed(policy(function), action, "*")


@pytest.mark.parametrize("cluster", [False, True], ids=["instance", "cluster"])
def test_the_api_makes_explains_and_deletes_a_rule_of_a_database_with_no_more_than_its_rights(
    stage: Stage, cluster: bool
) -> None:
    rds = make("api-db", cluster=cluster)
    named = {"cluster_ids": ["api-db"]} if cluster else {"instance_ids": ["api-db"]}
    body = {
        "name": "db",
        "idle_minutes": 30,
        "resources": {"kind": "rds", "region": REGION, **named},
        "guards": [{"metric": "rds_connections", "above": 1}],
        "idle_connections": 1,
    }
    call = call_api(stage)
    stage.calls.clear()
    made = call("POST", "/rules", body).json_body
    assert call("GET", f"/rules/{made['id']}/explain").json_body["state"] == "down"
    call("DELETE", f"/rules/{made['id']}")
    assert status_of(rds, cluster=cluster) == "available", "nobody is left with what no one will start"
    assert refused(stage, "api_handler") == []
