"""What `ports.Compute` promises of databases, of RDS in memory and on moto."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.handlers import BUILTIN_HANDLERS

from chalicelib.adapters.aws.rds import RdsCompute
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.adapters.memory.databases import FakeDatabases
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.resources import CLUSTER, Connector, Place, ResourceKind, ResourceRef, ResourceState
from tests.contract.conftest_aws import REGION, fresh_aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import OperationModel

    from chalicelib.ports import Compute

ELSEWHERE = "eu-central-1"
HERE = Place(ResourceKind.RDS, REGION)
RUNNING, STOPPED, GONE = ResourceState.RUNNING, ResourceState.STOPPED, ResourceState.GONE
UNKNOWN = ResourceRef(ResourceKind.RDS, REGION, "nobody-knows")
CALLS = {
    "DescribeDBInstances": "describe",
    "DescribeDBClusters": "describe clusters",
    "StartDBInstance": "start",
    "StartDBCluster": "start",
    "StopDBInstance": "stop",
    "StopDBCluster": "stop",
}


class Cloud(Protocol):
    """An adapter with what a test needs around it."""

    compute: Compute
    calls: Counter[str]

    def add(self, id_: str, *, stopped: bool = False, region: str = REGION, **tags: str) -> ResourceRef:
        """A DB instance, or with CLUSTER before its name a cluster of one instance, which is called NAME-1."""
        ...

    def settle(self) -> None:
        """Whatever was asked for comes to pass."""

    def fail(self, call: str, error: CloudError) -> None:
        """The next such call is answered so."""


class InMemory:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.compute = FakeDatabases(self.clock)
        self.calls = self.compute.calls

    def add(self, id_: str, *, stopped: bool = False, region: str = REGION, **tags: str) -> ResourceRef:
        parts = (f"{id_.removeprefix(CLUSTER)}-1",) if id_.startswith(CLUSTER) else ()
        return self.compute.add(id_, region, status="stopped" if stopped else "available", tags=tags, parts=parts)

    def settle(self) -> None:
        self.clock.advance(timedelta(hours=1))

    def fail(self, call: str, error: CloudError) -> None:
        self.compute.fail_next[call].append(error)


class OnMoto:
    def __init__(self) -> None:
        self.compute = RdsCompute(VirtualClock())
        self.calls: Counter[str] = Counter()
        self._watching = True
        self._failures: dict[str, CloudError] = {}

    def add(self, id_: str, *, stopped: bool = False, region: str = REGION, **tags: str) -> ResourceRef:
        self._watching = False
        rds: Any = boto3.client("rds", region_name=region)
        common: dict[str, Any] = {
            "MasterUsername": "somebody",
            "MasterUserPassword": "not-a-secret",
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            "PreferredMaintenanceWindow": "sat:03:00-sat:03:30",
        }
        name, class_ = id_.removeprefix(CLUSTER), "db.t4g.micro"
        if id_.startswith(CLUSTER):
            rds.create_db_cluster(DBClusterIdentifier=name, Engine="aurora-postgresql", **common)
            rds.create_db_instance(
                DBInstanceIdentifier=f"{name}-1",
                DBClusterIdentifier=name,
                DBInstanceClass="db.r6g.large",
                Engine="aurora-postgresql",
                PreferredMaintenanceWindow="sat:03:00-sat:03:30",
                Tags=common["Tags"],
            )
            if stopped:
                rds.stop_db_cluster(DBClusterIdentifier=name)
        else:
            engine = {"Engine": "postgres", "AllocatedStorage": 20, "DBInstanceClass": class_}
            rds.create_db_instance(DBInstanceIdentifier=name, **engine, **common)
            if stopped:
                rds.stop_db_instance(DBInstanceIdentifier=name)
        self._watching = True
        return ResourceRef(ResourceKind.RDS, region, id_)

    def settle(self) -> None:
        """moto's databases are there at once."""

    def fail(self, call: str, error: CloudError) -> None:
        self._failures[call] = error

    def asked(self, model: OperationModel, **_: object) -> None:
        call = CALLS.get(model.name)
        if call is None or not self._watching:
            return
        self.calls[call] += 1
        if failure := self._failures.pop(call, None):
            raise ClientError({"Error": {"Code": failure.code, "Message": failure.message}}, model.name)


@pytest.fixture(params=["memory", "rds"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    if request.param == "memory":
        yield InMemory()
        return
    found: list[OnMoto] = []
    tap = ("provide-client-params.rds", lambda **call: found[0].asked(**call) if found else None)
    BUILTIN_HANDLERS.append(tap)  # every client made from here on
    try:
        with fresh_aws():
            found.append(OnMoto())
            yield found[0]
    finally:
        BUILTIN_HANDLERS.remove(tap)


def states(cloud: Cloud, *refs: ResourceRef) -> list[ResourceState]:
    found = cloud.compute.describe(refs)
    return [found[ref].state for ref in refs]


class TestDescribe:
    def test_every_ref_is_answered_and_what_aws_does_not_know_is_gone(self, cloud):
        up, down = cloud.add("db-1"), cloud.add("db-2", stopped=True)
        refs = [up, UNKNOWN, down]
        found = cloud.compute.describe(refs)
        assert set(found) == set(refs)
        assert [found[ref].state for ref in refs] == [RUNNING, GONE, STOPPED]

    def test_a_cluster_and_an_instance_of_the_same_name_are_two(self, cloud):
        instance, cluster = cloud.add("shop"), cloud.add(f"{CLUSTER}shop", stopped=True)
        assert states(cloud, instance, cluster) == [RUNNING, STOPPED]

    def test_a_cluster_tells_its_instances_whose_metrics_count(self, cloud):
        instance, cluster = cloud.add("db-1"), cloud.add(f"{CLUSTER}shop")
        found = cloud.compute.describe([instance, cluster])
        assert found[instance].measured == (instance,)
        assert found[cluster].measured == (ResourceRef(ResourceKind.RDS, REGION, "shop-1"),)

    def test_the_endpoint_is_there_up_and_stopped(self, cloud):
        for ref in (cloud.add("db-1"), cloud.add(f"{CLUSTER}shop")):
            up = cloud.compute.describe([ref])[ref].endpoint
            assert up is not None
            assert up.endswith(".us-east-1.rds.amazonaws.com")
            cloud.compute.stop([ref])
            cloud.settle()
            assert cloud.compute.describe([ref])[ref].endpoint == up

    def test_what_is_available_is_free_of_protections_faults_and_work(self, cloud):
        for ref in (cloud.add("db-1"), cloud.add(f"{CLUSTER}shop")):
            seen = cloud.compute.protections([ref])[ref]
            assert (seen.protections, seen.busy, seen.fault, seen.restarts_at) == ((), None, None, None)

    def test_what_aws_charges_for_is_told(self, cloud):
        ref = cloud.add("db-1")
        product = cloud.compute.describe([ref])[ref].product
        assert (product.region, product.instance_class, product.engine) == (REGION, "db.t4g.micro", "postgres")

    def test_status_checks_are_filled_only_where_asked_for_and_only_of_what_runs(self, cloud):
        up, down = cloud.add("db-1"), cloud.add("db-2", stopped=True)
        assert [seen.status_ok for seen in cloud.compute.describe([up, down]).values()] == [None, None]
        checked = cloud.compute.describe([up, down], status_checks=True)
        assert (checked[up].status_ok, checked[down].status_ok) == (True, None)

    def test_regions_are_kept_apart_and_each_costs_one_call(self, cloud):
        here, there = cloud.add("db-1"), cloud.add("db-2", region=ELSEWHERE, stopped=True)
        more = [ResourceRef(ResourceKind.RDS, REGION, f"db-{n}") for n in range(3, 80)]
        assert states(cloud, here, there)[:2] == [RUNNING, STOPPED]
        assert cloud.calls == {"describe": 2}
        cloud.compute.describe([here, *more])
        assert cloud.calls == {"describe": 3}

    def test_clusters_are_asked_for_only_where_one_is_meant(self, cloud):
        cluster = cloud.add(f"{CLUSTER}shop")
        cloud.compute.describe([cluster])
        assert cloud.calls == {"describe": 1, "describe clusters": 1}

    def test_no_refs_cost_no_call(self, cloud):
        assert cloud.compute.describe([]) == {}
        assert list(cloud.compute.start([])) == list(cloud.compute.stop([])) == []
        assert cloud.compute.tagged(HERE, []) == {}
        assert not cloud.calls

    @pytest.mark.parametrize("error", [ThrottledError("Throttling", "Slow"), CloudError("AccessDenied", "Who?")])
    def test_a_failure_is_raised_and_the_next_call_is_another(self, cloud, error):
        ref = cloud.add("db-1")
        cloud.fail("describe", error)
        with pytest.raises(type(error)) as caught:
            cloud.compute.describe([ref])
        assert caught.value.code == error.code
        assert states(cloud, ref) == [RUNNING]


class TestTagged:
    def test_what_has_one_of_the_keys_is_found_with_all_its_tags_clusters_as_units(self, cloud):
        one = cloud.add("db-1", env="staging", team="web")
        cluster = cloud.add(f"{CLUSTER}shop", env="staging")
        cloud.add("db-2", other="staging")
        cloud.add("db-3", region=ELSEWHERE, env="staging")
        found = cloud.compute.tagged(HERE, ["env"])
        assert {ref: seen.tags for ref, seen in found.items()} == {
            one: {"env": "staging", "team": "web"},
            cluster: {"env": "staging"},
        }
        assert found[cluster].resource == cloud.compute.describe([cluster])[cluster]

    def test_keys_have_case(self, cloud):
        cloud.add("db-1", Env="x")
        assert cloud.compute.tagged(HERE, ["env"]) == {}


class TestStartAndStop:
    @pytest.mark.parametrize("id_", ["db-1", f"{CLUSTER}shop"])
    def test_what_is_asked_for_comes_to_pass(self, cloud, id_):
        ref = cloud.add(id_, stopped=True)
        for act, after in [(cloud.compute.start, RUNNING), (cloud.compute.stop, STOPPED)]:
            (outcome,) = act([ref])
            assert (outcome.ref, outcome.accepted, outcome.code) == (ref, True, None)
            cloud.settle()
            assert states(cloud, ref) == [after]

    @pytest.mark.parametrize("id_", ["db-1", f"{CLUSTER}shop"])
    @pytest.mark.parametrize("action", ["start", "stop"])
    def test_what_is_so_already_is_refused_in_aws_words_and_stays(self, cloud, id_, action):
        ref = cloud.add(id_, stopped=action == "stop")
        before = states(cloud, ref)
        (outcome,) = getattr(cloud.compute, action)([ref])
        assert not outcome.accepted
        assert outcome.code in {"InvalidDBInstanceState", "InvalidDBClusterStateFault"}
        assert states(cloud, ref) == before

    def test_one_refused_never_fails_the_others(self, cloud):
        down, up, other = cloud.add("db-1", stopped=True), cloud.add("db-2"), cloud.add("db-3", stopped=True)
        outcomes = {o.ref: o.accepted for o in cloud.compute.start([down, up, UNKNOWN, other])}
        assert outcomes == {down: True, up: False, UNKNOWN: False, other: True}
        cloud.settle()
        assert states(cloud, down, up, other) == [RUNNING] * 3

    def test_what_is_not_there_is_refused_as_such(self, cloud):
        cluster = ResourceRef(ResourceKind.RDS, REGION, f"{CLUSTER}nobody-knows")
        codes = [outcome.code for outcome in cloud.compute.stop([UNKNOWN, cluster])]
        assert codes == ["DBInstanceNotFound", "DBClusterNotFoundFault"]

    def test_throttled_before_anything_was_accepted_is_raised(self, cloud):
        ref = cloud.add("db-1")
        cloud.fail("stop", ThrottledError("Throttling", "Slow"))
        with pytest.raises(ThrottledError):
            cloud.compute.stop([ref])
        assert states(cloud, ref) == [RUNNING]


def test_other_accounts_are_places_of_their_own():
    memory = InMemory()
    elsewhere = Connector("arn:aws:iam::210987654321:role/autostop-x", "id")
    ours, theirs = memory.compute.add("db-1"), memory.compute.add("db-1", connector=elsewhere, status="available")
    assert states(memory, ours, theirs) == [STOPPED, RUNNING]


class TestInMemoryAlone:
    """What moto has not: AWS's own doing."""

    def test_a_stopped_database_tells_when_aws_starts_it_and_then_it_does(self):
        memory = InMemory()
        ref = memory.add("db-1", stopped=True)
        at = memory.compute.describe([ref])[ref].restarts_at
        assert at == memory.clock.now() + timedelta(days=7)
        memory.clock.advance(timedelta(days=7))
        assert memory.compute.databases[ref].status == "starting"
        memory.settle()
        assert states(memory, ref) == [RUNNING]

    @pytest.mark.parametrize("status", ["starting", "backing-up", "maintenance", "stopping"])
    def test_aws_stops_only_what_is_available(self, status):
        memory = InMemory()
        ref = memory.add("db-1")
        memory.compute.becomes(ref, status)
        (outcome,) = memory.compute.stop([ref])
        assert (outcome.accepted, outcome.code) == (False, "InvalidDBInstanceState")
