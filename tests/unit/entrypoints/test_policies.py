"""Every function is run, and each call it makes is held against its policy: moto checks no policy itself."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from chalice.test import Client
from moto.elbv2.models import elbv2_backends

import app as application
from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.clients import forget as forget_clients
from chalicelib.bootstrap import api_handler
from chalicelib.domain.access import Role
from chalicelib.domain.alb_traffic import Position
from chalicelib.domain.albs import MadeAlb, MadeListener
from chalicelib.domain.drains import Drain
from chalicelib.domain.products import Ec2Product
from chalicelib.domain.resources import Connector, Place, ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.rules import DependsOn, RuleState, RuleStatus
from chalicelib.domain.schedules import ScheduleKind
from chalicelib.domain.usage import IntervalState
from chalicelib.domain.usage_days import Change, Paid, UsageDay, midnight
from chalicelib.entrypoints.ec2_calls import ec2_calls
from chalicelib.entrypoints.ec2_state import ec2_state
from chalicelib.entrypoints.proxy_logs import proxy_logs
from chalicelib.entrypoints.reconcile import reconcile
from chalicelib.entrypoints.savings_rollup import savings_rollup
from chalicelib.entrypoints.tick import tick
from scripts.policies import TABLES
from tests.builders import make_rule, make_schedule
from tests.contract.alb_on_moto import OnMoto
from tests.contract.conftest_aws import REGION
from tests.unit.alb_world import make_alb
from tests.unit.entrypoints import provision_needs
from tests.unit.entrypoints.conftest import CONTEXT, documented
from tests.unit.entrypoints.test_handlers import heartbeat, lines, message, sqs_event, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.entrypoints.conftest import Stage

ROOT = Path(__file__).parent.parent.parent.parent
ACCOUNT = "123456789012"
IN_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


def needs(service: str, operation: str, params: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The action and the resource of each permission that AWS asks for when this call is made."""
    if service == "dynamodb":
        table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/"
        if operation == "TransactWriteItems":
            for item in params["TransactItems"]:
                ((kind, part),) = item.items()
                yield f"dynamodb:{IN_TRANSACTION[kind]}", table + part["TableName"]
        elif "RequestItems" in params:
            for name in params["RequestItems"]:
                yield f"dynamodb:{operation}", table + name
        else:
            index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
            yield f"dynamodb:{operation}", table + params["TableName"] + index
    elif service in {"sts", "secretsmanager", "iam"} or (service == "ssm" and "Name" in params):
        yield from getattr(provision_needs, service)(operation, params)
    elif service == "ec2" and operation in provision_needs.EC2:
        yield from provision_needs.ec2(operation, params)
    elif service == "sqs":
        # In AWS the batch is covered by SendMessage: that is what is asked for here.
        name = params["QueueUrl"].rsplit("/", 1)[1]
        yield "sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    elif service in _ARNS:
        yield _ARNS[service](operation, params)
    else:
        for id_ in params.get("InstanceIds", ["*"]) if operation in {"StartInstances", "StopInstances"} else ["*"]:
            yield f"{service}:{operation}", "*" if id_ == "*" else f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{id_}"


def _of_database(operation: str, params: dict[str, Any]) -> tuple[str, str]:
    if not operation.startswith(("Start", "Stop")):
        return f"rds:{operation}", "*"
    part = "cluster" if operation.endswith("Cluster") else "db"
    name = params["DBClusterIdentifier" if part == "cluster" else "DBInstanceIdentifier"]
    return f"rds:{operation}", f"arn:aws:rds:{REGION}:{ACCOUNT}:{part}:{name}"


def _of_balancer(operation: str, params: dict[str, Any]) -> tuple[str, str]:
    return f"elasticloadbalancing:{operation}", params["RuleArn"] if operation == "ModifyRule" else "*"


def _of_object(operation: str, params: dict[str, Any]) -> tuple[str, str]:
    return f"s3:{operation}", f"arn:aws:s3:::{params['Bucket']}/{params['Key']}"


_ARNS = {"rds": _of_database, "elbv2": _of_balancer, "s3": _of_object}


def allowed(policy: dict[str, Any], action: str, resource: str) -> bool:
    return any(
        action in statement["Action"] and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        for statement in policy["Statement"]
    )


def refused(stage: Stage, function: str) -> list[tuple[str, str]]:
    """What this function asked for since the stage was made and may not do."""
    assert stage.calls, "it asked for nothing, which proves nothing"
    policy = json.loads((ROOT / ".chalice" / f"policy-{function}.json").read_text())
    wanted = {need for call in stage.calls for need in needs(*call)}
    return sorted(need for need in wanted if not allowed(policy, *need))


def test_a_call_that_no_statement_names_is_found(stage: Stage) -> None:
    stage.calls.append(("ec2", "StopInstances", {"InstanceIds": ["i-1"]}))
    assert refused(stage, "tick") == [("ec2:StopInstances", f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-1")]


def test_tick_may_do_what_it_does(stage: Stage) -> None:
    stage.add_rule("i-0001")
    stage.calls.clear()
    tick(documented("schedule"), CONTEXT)
    assert refused(stage, "tick") == []


def test_ec2_state_may_do_what_it_does(stage: Stage) -> None:
    stage.add_rule("i-abcd1111")
    stage.calls.clear()
    assert ec2_state(documented("ec2_state"), CONTEXT) == {"rules": 1}
    assert refused(stage, "ec2_state") == []


def test_ec2_calls_may_do_what_it_does(stage: Stage) -> None:
    stage.add_rule("i-abcd1111")
    stage.calls.clear()
    assert ec2_calls(documented("ec2_call"), CONTEXT) == {"rules": 1}
    assert refused(stage, "ec2_calls") == []


def test_proxy_logs_may_do_what_it_does(stage: Stage) -> None:
    stage.add_rule("i-0001")
    stage.calls.clear()
    proxy_logs(lines(summary(), heartbeat()), CONTEXT)
    late = [heartbeat(seq=5, summaries=0) | {"observed_from": ago(-0.01), "observed_through": ago(-0.02)}]
    proxy_logs(lines(*late), CONTEXT)
    assert refused(stage, "proxy_logs") == []


@pytest.fixture
def _price_list() -> Iterator[None]:
    """A price list that knows nothing, where moto has none at all."""
    events = client("pricing", REGION).meta.events

    def answer(**_: object) -> tuple[object, dict[str, Any]]:
        return SimpleNamespace(status_code=200), {"PriceList": []}

    events.register_first("before-call.pricing", answer)
    yield
    events.unregister("before-call.pricing", answer)


@pytest.mark.usefixtures("_price_list")
def test_savings_rollup_may_do_what_it_does(stage: Stage) -> None:
    instance_id = stage.instance()
    stage.add_rule(instance_id)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    ref = ResourceRef(ResourceKind.EC2, REGION, instance_id)
    paid = (Paid(ref, ec2=Ec2Product(REGION, "t3.micro")),)
    for day in (yesterday - timedelta(days=1), yesterday):
        changes = (Change(midnight(day), instance_id, IntervalState.DOWN),)
        stage.stores.usage.save(UsageDay("ru_1", day, False, "lb_1", None, None, paid, changes))
    stage.calls.clear()
    answer = savings_rollup(documented("schedule"), CONTEXT)
    assert answer["waiting"] == 0
    assert answer["kept"] >= 68
    assert {operation for _, operation, _ in stage.calls} == {"GetProducts", "GetItem", "Query", "PutItem"}
    assert refused(stage, "savings_rollup") == []


def test_reconcile_may_start_and_stop(stage: Stage) -> None:
    instance_id = stage.instance()
    stage.add_rule(instance_id)
    stage.stores.status.wake("ru_1", datetime.now(UTC), "traffic", datetime.now(UTC) - timedelta(seconds=5))
    stage.calls.clear()
    reconcile(sqs_event(message("ru_1", cause="wake")), CONTEXT)
    assert stage.state_of(instance_id) == "running"
    assert refused(stage, "reconcile") == []


def test_reconcile_may_go_to_another_account(stage: Stage) -> None:
    forget_clients()
    theirs = Connector("arn:aws:iam::210987654321:role/autostop-access", "e1")
    stage.add_rule("i-0001", connector=theirs)
    stage.calls.clear()
    reconcile(sqs_event(message("ru_1", place=Place(ResourceKind.EC2, REGION, theirs))), CONTEXT)
    assert ("sts", "AssumeRole") in [(service, operation) for service, operation, _ in stage.calls]
    assert refused(stage, "reconcile") == []


def test_reconcile_may_drain_and_stop_what_a_person_cools_down_by_force(stage: Stage) -> None:
    instance_id = stage.instance()
    stage.stores.schedules.create(make_schedule(kind=ScheduleKind.DOWNTIME))
    db = make_rule("ru_db", resource_ids=(stage.instance(),), load_balancer_id=None, http=())
    stage.stores.rules.create(db, None)
    needs_db = (DependsOn("ru_db", timedelta(0)),)
    rule = make_rule(
        "ru_1",
        RuleStatus(state=RuleState.UP),
        resource_ids=(instance_id,),
        depends_on=needs_db,
        schedule_ids=("sc_1",),
    )
    stage.stores.rules.create(rule, "{}", None, {"ru_db": 1})
    with_key = call_api(stage)
    with_key("POST", "/rules/ru_1/warm-up", {"minutes": 5})
    reconcile(sqs_event(message("ru_1")), CONTEXT)
    with_key("POST", "/rules/ru_1/cool-down", {"minutes": 5, "force": True})
    stage.calls.clear()
    reconcile(sqs_event(message("ru_1")), CONTEXT)
    assert stage.state_of(instance_id) == "stopped"
    assert refused(stage, "reconcile") == []


def call_api(stage: Stage) -> Any:
    """Calls the API as an admin, and insists on success."""
    admin = api_handler.manage_api_keys().create(Role.ADMIN, "admin", "test").token

    def call(method: str, path: str, body: Any = None, token: str = admin, **headers: str) -> Any:
        sent = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        with Client(application.app) as client:
            raw = b"" if body is None else json.dumps(body).encode()
            answer = client.http.request(method, path, headers=sent, body=raw)
        assert answer.status_code < 300, answer.body
        return answer

    return call


@pytest.mark.usefixtures("_price_list")
def test_the_api_may_do_what_its_routes_do(stage: Stage) -> None:
    instance_id, below_id = stage.instance(), stage.instance()
    call = call_api(stage)
    stage.calls.clear()
    key = call("POST", "/api-keys", {"role": "viewer", "name": "look"}).json_body
    call("GET", "/api-keys")
    call("PUT", "/account", {"max_stops_per_tick": 7}, If_Match=call("GET", "/account").headers["ETag"])
    settings = {
        "kind": "proxy",
        "name": "edge",
        "region": REGION,
        "vpc_id": "vpc-1",
        "subnet_ids": ["subnet-1"],
        "security_group_ids": ["sg-1"],
        "existing": True,
    }
    lb = call("POST", "/load-balancers", settings, Idempotency_Key="lb").json_body
    secret = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:tls"
    pair = {"hosts": ["x.example.com"], "certificate_secret_arn": secret, "private_key_secret_arn": secret}
    call("PUT", f"/load-balancers/{lb['id']}", settings | {"certificates": [pair]})
    call("GET", "/load-balancers")
    proxy = call("POST", "/api-keys", {"role": "proxy", "name": "p", "load_balancer_id": lb["id"]}).json_body["token"]
    office = {"name": "office", "kind": "uptime", "time_zone": "UTC", "weekly": [{"days": ["MON"]}]}
    schedule = call("POST", "/schedules", office, Idempotency_Key="sc").json_body["id"]
    call("GET", "/schedules")
    call("PUT", f"/schedules/{schedule}", office, If_Match=call("GET", f"/schedules/{schedule}").headers["ETag"])
    below = {"name": "db", "resources": {"kind": "ec2", "region": REGION, "instance_ids": [below_id]}}
    db = call("POST", "/rules", below).json_body["id"]
    body = {
        "name": "site",
        "idle_minutes": 5,
        "depends_on": [{"rule_id": db}],
        "schedule_ids": [schedule],
        "load_balancer_id": lb["id"],
        "resources": {"kind": "ec2", "region": REGION, "instance_ids": [instance_id]},
        "http": [{"hosts": ["a.example.com"], "target": {"protocol": "http", "port": 8080}}],
    }
    made = call("POST", "/rules", body, Idempotency_Key="one").json_body
    path = f"/rules/{made['id']}"
    call("GET", "/rules")
    for view in ("", "/explain", "/events", "/activity"):
        call("GET", path + view)
    call("GET", "/events")
    asked = list(stage.calls)
    reconcile(sqs_event(message(made["id"])), CONTEXT)
    stage.calls[:] = asked  # the worker has a policy of its own
    for savings in ("/savings", f"{path}/savings"):
        unknown = call("GET", savings).json_body["unknown_cost"]
        assert {one["id"] for one in unknown} == {instance_id, lb["id"]}
    etag = call("GET", path).headers["ETag"]
    call("PUT", path, body | {"name": "other"}, If_Match=etag)
    config = call("GET", f"/load-balancers/{lb['id']}/config", token=proxy)
    at = ago(0)
    report = {
        "member": "i-proxy1",
        "config": config.headers["ETag"].strip('"'),
        "applied": {"at": at},
        "rules": [{"id": made["id"], "accepts": True, "status": 200, "at": at}],
        "secrets": [{"hosts": ["x.example.com"], "arn": secret, "status": "missing", "detail": "AccessDenied"}],
    }
    call("POST", f"/load-balancers/{lb['id']}/report", report, token=proxy)
    cause = {"rule_ids": [made["id"]], "cause": {"kind": "tcp", "source": "203.0.113.7", "port": 20000}}
    call("POST", f"/load-balancers/{lb['id']}/warm-up", cause, token=proxy)
    call("POST", f"{path}/warm-up", {"minutes": 30})
    call("POST", f"{path}/cool-down", {"minutes": 30, "force": True})
    call("POST", f"{path}/release")
    call("POST", f"/rules/{db}/cool-down", {"minutes": 30, "force": True, "propagate": True})
    call("DELETE", path, If_Match=call("GET", path).headers["ETag"])
    call("DELETE", f"/schedules/{schedule}")
    call("DELETE", f"/rules/{db}")
    call("DELETE", f"/load-balancers/{lb['id']}", If_Match=call("GET", f"/load-balancers/{lb['id']}").headers["ETag"])
    call("DELETE", f"/api-keys/{key['id']}")
    assert refused(stage, "api_handler") == []
    assert stage.state_of(instance_id) == "running", "a deleted rule leaves nobody with a stopped instance"


def ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()


@pytest.mark.parametrize("function", sorted(TABLES))
def test_every_function_may_write_its_log_and_its_traces(function: str) -> None:
    policy = json.loads((ROOT / ".chalice" / f"policy-{function}.json").read_text())
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/autostop-dev-{function}:log-stream:x"
    assert allowed(policy, "logs:PutLogEvents", group)
    assert allowed(policy, "xray:PutTraceSegments", "*")


def on_an_alb(stage: Stage, instance_id: str, **changes: Any) -> OnMoto:
    """A rule on an ALB, its target registered."""
    elbv2_backends[ACCOUNT][REGION].reset()  # the account lives as long as the package
    alb = OnMoto()
    listeners = tuple(MadeListener(arn, 80 + n, "http") for n, arn in enumerate(alb.listeners))
    made = MadeAlb(alb.place.alb_arn, listeners=listeners, function_target_group_arn=alb.function)
    stage.stores.balancers.create(make_alb(made=made))
    alb.add("ru_1")
    stage.add_rule(instance_id, load_balancer_id="lb_alb", **changes)
    group = alb.traffic.look(alb.place, ["ru_1"])["ru_1"].instance_groups[0]
    alb.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "172.31.0.9", "Port": 8080}])
    stage.calls.clear()
    return alb


def acts(stage: Stage) -> list[str]:
    """What it asked of AWS that changes traffic or instances, in order."""
    return [
        operation for _, operation, _ in stage.calls if operation in {"ModifyRule", "StartInstances", "StopInstances"}
    ]


def test_reconcile_may_bring_up_a_rule_on_an_alb_and_gives_it_its_traffic_after_the_start(stage: Stage) -> None:
    instance_id = stage.instance()
    alb = on_an_alb(stage, instance_id)
    reconcile(sqs_event(message("ru_1")), CONTEXT)
    assert acts(stage) == ["ModifyRule"]
    assert alb.traffic.look(alb.place, ["ru_1"])["ru_1"].position is Position.FUNCTION
    now = datetime.now(UTC)
    stage.stores.status.wake("ru_1", now, "traffic", now - timedelta(seconds=5))
    reconcile(sqs_event(message("ru_1", cause="wake")), CONTEXT)
    reconcile(sqs_event(message("ru_1", cause="wake")), CONTEXT)
    assert acts(stage) == ["ModifyRule", "StartInstances", "ModifyRule"]
    assert alb.traffic.look(alb.place, ["ru_1"])["ru_1"].position is Position.INSTANCES
    assert refused(stage, "reconcile") == []


def test_reconcile_moves_the_traffic_of_a_rule_on_an_alb_before_it_stops(stage: Stage) -> None:
    instance_id = stage.instance(ResourceState.RUNNING)
    on_an_alb(stage, instance_id)
    call_api(stage)("POST", "/rules/ru_1/cool-down", {"minutes": 5, "force": True})
    stage.calls.clear()
    reconcile(sqs_event(message("ru_1")), CONTEXT)
    assert acts(stage) == ["ModifyRule", "StopInstances"]
    assert stage.state_of(instance_id) == "stopped"
    assert refused(stage, "reconcile") == []


def test_reconcile_and_the_api_may_read_what_an_alb_has_counted(stage: Stage) -> None:
    instance_id = stage.instance(ResourceState.RUNNING)
    ago = datetime.now(UTC) - timedelta(minutes=10)
    draining = RuleStatus(RuleState.STOPPING, since=ago, up_since=ago, drain=Drain(ago, ago, 0))
    on_an_alb(stage, instance_id, status=draining, idle=timedelta(0))
    call = call_api(stage)
    for function in ("api_handler", "reconcile"):
        stage.calls.clear()
        if function == "reconcile":
            reconcile(sqs_event(message("ru_1")), CONTEXT)
        else:
            call("GET", "/rules/ru_1/explain")
        assert "GetMetricData" in [operation for _, operation, _ in stage.calls], function
        assert refused(stage, function) == []


def test_of_an_alb_reconcile_may_change_nothing_but_listener_rules_with_our_tags() -> None:
    policy = json.loads((ROOT / ".chalice" / "policy-reconcile.json").read_text())
    elb = [s for s in policy["Statement"] if any(a.startswith("elasticloadbalancing:") for a in s["Action"])]
    changing = [s for s in elb if not all(re.search(":(Describe|Get|List)", action) for action in s["Action"])]
    (turn,) = changing
    assert turn["Action"] == ["elasticloadbalancing:ModifyRule"]
    tags = {"aws:ResourceTag/autostop:load-balancer": "false", "aws:ResourceTag/autostop:rule": "false"}
    assert turn["Condition"] == {"Null": tags}
    assert turn["Resource"] == ["arn:*:elasticloadbalancing:*:*:listener-rule/app/*"]
