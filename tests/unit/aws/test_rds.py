"""What only RDS answers: protections, its statuses one by one, members at work, maintenance, throttling in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.rds import PAGE, UNTOLD, RdsCompute
from chalicelib.adapters.memory.clock import START, VirtualClock
from chalicelib.domain.database_states import MEANINGS, meaning
from chalicelib.domain.errors import ThrottledError
from chalicelib.domain.products import Deployment, RdsProduct
from chalicelib.domain.resources import CLUSTER, Place, Protection, ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.upkeep import LEAD, MaintenanceWindow
from tests.contract.conftest_aws import REGION, fresh_aws

HERE = Place(ResourceKind.RDS, REGION)
PAGED = {"MaxRecords": PAGE}
NOT_NOW = "sat:03:00-sat:03:30"
# START is a Monday, 08:00 UTC.
NOW_OPEN = "mon:07:45-mon:08:15"

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status
INSTANCE_STATUSES = [
    "available",
    "backing-up",
    "configuring-associated-roles",
    "configuring-enhanced-monitoring",
    "configuring-iam-database-auth",
    "configuring-log-exports",
    "converting-to-vpc",
    "creating",
    "delete-precheck",
    "deleting",
    "failed",
    "inaccessible-encryption-credentials",
    "inaccessible-encryption-credentials-recoverable",
    "incompatible-create",
    "incompatible-network",
    "incompatible-option-group",
    "incompatible-parameters",
    "incompatible-restore",
    "insufficient-capacity",
    "maintenance",
    "modifying",
    "moving-to-vpc",
    "rebooting",
    "renaming",
    "resetting-master-credentials",
    "restore-error",
    "starting",
    "stopped",
    "stopping",
    "storage-config-upgrade",
    "storage-full",
    "storage-initialization",
    "storage-optimization",
    "upgrading",
    "unsupported-configuration",
    "backtracking",
    "configuring-activity-stream",
]
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/accessing-monitoring.html
CLUSTER_STATUSES = [
    "available",
    "backing-up",
    "backtracking",
    "cloning-failed",
    "creating",
    "deleting",
    "failing-over",
    "inaccessible-encryption-credentials",
    "inaccessible-encryption-credentials-recoverable",
    "maintenance",
    "migrating",
    "migration-failed",
    "modifying",
    "preparing-data-migration",
    "promoting",
    "rebooting",
    "renaming",
    "resetting-master-credentials",
    "starting",
    "stopped",
    "stopping",
    "storage-optimization",
    "update-iam-db-auth",
    "upgrading",
    "scaling-compute",
    "scaling-capacity",
    "scaling-storage",
]
FAILED = [
    "cloning-failed",
    "failed",
    "inaccessible-encryption-credentials",
    "incompatible-create",
    "incompatible-credentials",
    "incompatible-network",
    "incompatible-option-group",
    "incompatible-parameters",
    "incompatible-restore",
    "insufficient-capacity",
    "migration-failed",
    "restore-error",
    "unsupported-configuration",
]


def ref(id_: str) -> ResourceRef:
    return ResourceRef(ResourceKind.RDS, REGION, id_)


class Answers:
    """RDS, told what to say. An unexpected call fails the test."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.compute = RdsCompute(self.clock)
        self.stub = Stubber(client("rds", REGION))
        self.stub.activate()

    def instances(self, *instances: dict[str, Any]) -> None:
        made = [
            {
                "DBInstanceIdentifier": "db-1",
                "DBInstanceStatus": "available",
                "Engine": "postgres",
                "DBInstanceClass": "db.t4g.micro",
                "PreferredMaintenanceWindow": NOT_NOW,
                "DBInstanceArn": f"arn:aws:rds:{REGION}:123456789012:db:{one.get('DBInstanceIdentifier', 'db-1')}",
            }
            | one
            for one in instances
        ]
        self.stub.add_response("describe_db_instances", {"DBInstances": made}, PAGED)

    def clusters(self, *clusters: dict[str, Any]) -> None:
        made = [
            {
                "DBClusterIdentifier": "shop",
                "Status": "available",
                "Engine": "aurora-postgresql",
                "EngineMode": "provisioned",
                "PreferredMaintenanceWindow": NOT_NOW,
                "DBClusterArn": f"arn:aws:rds:{REGION}:123456789012:cluster:shop",
            }
            | one
            for one in clusters
        ]
        self.stub.add_response("describe_db_clusters", {"DBClusters": made}, PAGED)

    def pending(self, arn: str, **action: Any) -> None:
        listed = [{"ResourceIdentifier": arn, "PendingMaintenanceActionDetails": [{"Action": "os-upgrade"} | action]}]
        answer = {"PendingMaintenanceActions": listed}
        self.stub.add_response("describe_pending_maintenance_actions", answer, PAGED)

    def one(self, id_: str = "db-1", **how: bool) -> Any:
        seen = self.compute.describe([ref(id_)], **how)[ref(id_)]
        self.stub.assert_no_pending_responses()
        return seen


@pytest.fixture
def rds():
    with fresh_aws():
        yield Answers()


class TestStatuses:
    @pytest.mark.parametrize("status", sorted({*INSTANCE_STATUSES, *CLUSTER_STATUSES}))
    def test_each_of_them_is_known(self, status):
        assert status in MEANINGS

    @pytest.mark.parametrize("status", sorted(MEANINGS))
    def test_each_means_to_go_to_wait_or_to_fail(self, status):
        means = meaning(status)
        if status in FAILED:
            assert (means.state, bool(means.fault), means.busy) == (ResourceState.PENDING, True, None)
        elif status in {"creating", "starting"}:
            assert (means.state, means.fault, means.busy) == (ResourceState.PENDING, None, None)
        elif status in {"stopped", "inaccessible-encryption-credentials-recoverable"}:
            assert means.state is ResourceState.STOPPED
        elif status == "stopping":
            assert means.state is ResourceState.STOPPING
        elif status == "deleting":
            assert means.state is ResourceState.GONE
        else:
            assert means.state is ResourceState.RUNNING
            assert (means.busy is None) is (status == "available"), "only what is available is stopped"

    def test_one_that_is_new_is_neither_started_nor_stopped(self):
        means = meaning("dreaming")
        assert (means.state, means.busy) == (
            ResourceState.RUNNING,
            "is in state dreaming, which AutoStop does not know",
        )

    @pytest.mark.parametrize(("status", "ok"), [("available", True), ("backing-up", True), ("rebooting", False)])
    def test_what_takes_connections_passes_its_status_check(self, rds, status, ok):
        rds.instances({"DBInstanceStatus": status})
        assert rds.one(status_checks=True).status_ok is ok


class TestProtections:
    @pytest.mark.parametrize(
        ("described", "protections"),
        [
            ({"ReadReplicaSourceDBInstanceIdentifier": "db-0"}, [Protection.READ_REPLICA]),
            ({"ReadReplicaSourceDBClusterIdentifier": "c"}, [Protection.READ_REPLICA]),
            ({"ReadReplicaDBInstanceIdentifiers": ["db-2"]}, [Protection.REPLICA_SOURCE]),
            ({"ReadReplicaDBClusterIdentifiers": ["c"]}, [Protection.REPLICA_SOURCE]),
            ({"DBClusterIdentifier": "shop"}, [Protection.CLUSTER_MEMBER]),
            ({"Engine": "sqlserver-se", "MultiAZ": True}, [Protection.SQL_SERVER_MULTI_AZ]),
            ({"Engine": "sqlserver-ee", "SecondaryAvailabilityZone": "x"}, [Protection.SQL_SERVER_MULTI_AZ]),
            ({"Engine": "custom-sqlserver-se", "MultiAZ": True}, [Protection.SQL_SERVER_MULTI_AZ]),
            ({"Engine": "neptune"}, [Protection.FOREIGN_ENGINE]),
            ({"Engine": "sqlserver-ex", "MultiAZ": False}, []),
            ({"Engine": "oracle-se2", "MultiAZ": True}, []),
            ({"Engine": "mariadb"}, []),
        ],
    )
    def test_of_an_instance(self, rds, described, protections):
        rds.instances(described)
        assert list(rds.one().protections) == protections

    @pytest.mark.parametrize(
        ("described", "protections"),
        [
            ({"EngineMode": "serverless"}, [Protection.SERVERLESS_V1]),
            ({"EngineMode": "global"}, [Protection.GLOBAL_DATABASE]),
            ({"GlobalClusterIdentifier": "world"}, [Protection.GLOBAL_DATABASE]),
            ({"EngineMode": "multimaster"}, [Protection.ENGINE_MODE]),
            ({"EngineMode": "parallelquery"}, [Protection.ENGINE_MODE]),
            ({"ReplicationSourceIdentifier": "arn:x"}, [Protection.READ_REPLICA]),
            ({"ReadReplicaIdentifiers": ["x"]}, [Protection.REPLICA_SOURCE]),
            ({"Engine": "docdb"}, [Protection.FOREIGN_ENGINE]),
            ({"Engine": "postgres", "DBClusterInstanceClass": "db.m5d.large"}, [Protection.MULTI_AZ_CLUSTER]),
            ({}, []),
        ],
    )
    def test_of_a_cluster(self, rds, described, protections):
        rds.instances()
        rds.clusters(described)
        assert list(rds.one(f"{CLUSTER}shop").protections) == protections

    @pytest.mark.parametrize("protection", list(Protection))
    def test_each_has_words_that_continue_an_id(self, protection):
        assert protection.words.split()[0] in {"is", "has", "belongs"}


class TestClusters:
    def test_a_cluster_waits_for_an_instance_of_it_that_aws_is_at_work_on(self, rds):
        member = {"DBInstanceIdentifier": "shop-1", "DBClusterIdentifier": "shop"}
        rds.instances(member | {"DBInstanceStatus": "modifying"}, {"DBInstanceIdentifier": "other"})
        rds.clusters({})
        seen = rds.one(f"{CLUSTER}shop")
        assert seen.busy == "has instance shop-1, which is being modified"
        assert seen.parts == (ref("shop-1"),)

    def test_an_instance_that_is_being_added_counts_too(self, rds):
        rds.instances({"DBInstanceIdentifier": "shop-2", "DBClusterIdentifier": "shop", "DBInstanceStatus": "creating"})
        rds.clusters({})
        assert rds.one(f"{CLUSTER}shop").busy == "has instance shop-2, which is creating"

    def test_what_is_charged_for_aurora_with_one_instance_and_a_multi_az_cluster(self, rds):
        one = {"DBInstanceIdentifier": "shop-1", "DBClusterIdentifier": "shop", "DBInstanceClass": "db.r6g.large"}
        rds.instances(one)
        rds.clusters({"StorageType": "aurora-iopt1"})
        product = rds.one(f"{CLUSTER}shop").product
        assert product == RdsProduct(REGION, "db.r6g.large", "aurora-postgresql", io_optimized=True)
        rds.instances(one | {"Engine": "postgres", "LicenseModel": "postgresql-license"})
        rds.clusters({"Engine": "postgres", "DBClusterInstanceClass": "db.m5d.large"})
        assert rds.one(f"{CLUSTER}shop").product == RdsProduct(
            REGION, "db.m5d.large", "postgres", "postgresql-license", Deployment.MULTI_AZ_CLUSTER
        )

    @pytest.mark.parametrize(
        ("classes", "product"),
        [
            (["db.r6g.large"] * 3, RdsProduct(REGION, "db.r6g.large", "aurora-postgresql", instances=3)),
            (["db.serverless"], RdsProduct(REGION, "db.serverless", "aurora-postgresql")),
            (["db.r6g.large", "db.r6g.xlarge"], None),
            ([], None),
        ],
    )
    def test_aurora_is_priced_by_its_instances_and_not_at_all_where_they_differ(self, rds, classes, product):
        rds.instances(
            *(
                {"DBInstanceIdentifier": f"shop-{n}", "DBClusterIdentifier": "shop", "DBInstanceClass": class_}
                for n, class_ in enumerate(classes)
            )
        )
        rds.clusters({})
        assert rds.one(f"{CLUSTER}shop").product == product

    def test_instances_with_the_tags_of_their_cluster_are_not_found_beside_it(self, rds):
        tags = [{"Key": "env", "Value": "staging"}]
        mine = {"DBClusterIdentifier": "shop"}
        rds.instances(
            {"DBInstanceIdentifier": "shop-1", "TagList": tags} | mine,
            {"DBInstanceIdentifier": "shop-2", "TagList": [{"Key": "env", "Value": "prod"}]} | mine,
        )
        rds.clusters({"TagList": tags})
        found = rds.compute.tagged(HERE, ["env"])
        assert set(found) == {ref(f"{CLUSTER}shop"), ref("shop-2")}
        assert found[ref("shop-2")].resource.protections == (Protection.CLUSTER_MEMBER,)


class TestRestart:
    def test_when_aws_starts_it_is_told_in_utc(self, rds):
        at = datetime(2026, 1, 12, 9, 0, tzinfo=UTC)
        rds.instances({"DBInstanceStatus": "stopped", "AutomaticRestartTime": at})
        assert rds.one().restarts_at == at


class TestUpkeep:
    ARN = f"arn:aws:rds:{REGION}:123456789012:db:db-1"

    def test_out_of_its_window_nobody_is_asked(self, rds):
        rds.instances({})
        assert rds.one().busy is None

    def test_maintenance_that_is_due_in_its_window_vetoes(self, rds):
        rds.instances({"PreferredMaintenanceWindow": NOW_OPEN})
        rds.pending(self.ARN, CurrentApplyDate=START)
        assert rds.one().busy == "has maintenance (os-upgrade) in its window, which is now or soon"

    def test_maintenance_of_another_or_of_another_week_or_only_offered_does_not(self, rds):
        for arn, more in [
            (f"{self.ARN}0", {"CurrentApplyDate": START}),
            (self.ARN, {"CurrentApplyDate": START + timedelta(days=7)}),
            (self.ARN, {}),
        ]:
            rds.instances({"PreferredMaintenanceWindow": NOW_OPEN})
            rds.pending(arn, **more)
            assert rds.one().busy is None

    def test_changes_that_wait_for_the_window_veto(self, rds):
        rds.instances(
            {"PreferredMaintenanceWindow": NOW_OPEN, "PendingModifiedValues": {"DBInstanceClass": "db.m5.large"}}
        )
        rds.pending(f"{self.ARN}0")
        assert "changes to be applied" in rds.one().busy

    def test_what_aws_does_not_tell_is_not_nothing(self, rds):
        rds.instances({"PreferredMaintenanceWindow": NOW_OPEN})
        rds.stub.add_client_error("describe_pending_maintenance_actions", "AccessDenied", "no")
        assert rds.one().busy == UNTOLD

    def test_maintenance_of_an_instance_of_a_cluster_vetoes_its_stop(self, rds):
        member = {"DBInstanceIdentifier": "shop-1", "DBClusterIdentifier": "shop"}
        rds.instances(member | {"PreferredMaintenanceWindow": NOW_OPEN})
        rds.clusters({})
        rds.pending(f"arn:aws:rds:{REGION}:123456789012:db:shop-1", CurrentApplyDate=START)
        assert rds.one(f"{CLUSTER}shop").busy is not None

    @pytest.mark.parametrize(
        ("window", "at", "open_"),
        [
            ("mon:08:00-mon:08:30", START, True),
            ("mon:08:00-mon:08:30", START + timedelta(minutes=29), True),
            ("mon:08:00-mon:08:30", START + timedelta(minutes=30), False),
            ("mon:08:00-mon:08:30", START - LEAD, True),
            ("mon:08:00-mon:08:30", START - LEAD - timedelta(seconds=1), False),
            ("sun:23:30-mon:08:30", START, True),
            ("sun:23:30-mon:00:30", START, False),
            ("mon:08:00-mon:08:30", START + timedelta(days=7), True),
            ("mon:08:00-mon:08:30", START + timedelta(days=1), False),
        ],
    )
    def test_a_window_is_weekly_and_begins_a_little_early(self, window, at, open_):
        found = MaintenanceWindow.of(window)
        assert (found.ends(at) is not None) is open_
        if open_:
            assert at < found.ends(at) <= at + timedelta(hours=10)

    @pytest.mark.parametrize("text", ["", "mon", "xxx:08:00-mon:08:30", "mon:8:0-mon:9:0"])
    def test_what_is_no_window_is_none(self, text):
        assert MaintenanceWindow.of(text) is None


def test_throttled_after_one_was_accepted_the_others_are_refused_not_raised(rds):
    rds.stub.add_response("stop_db_instance", {"DBInstance": {}}, {"DBInstanceIdentifier": "db-1"})
    rds.stub.add_client_error("stop_db_instance", "Throttling", "Slow")
    outcomes = rds.compute.stop([ref("db-1"), ref("db-2"), ref("db-3")])
    assert [(o.accepted, o.code) for o in outcomes] == [(True, None), (False, "Throttling"), (False, "Throttling")]
    rds.stub.add_client_error("start_db_instance", "Throttling", "Slow")
    with pytest.raises(ThrottledError):
        rds.compute.start([ref("db-1")])


def test_an_error_of_the_client_is_told_by_its_code(rds):
    rds.stub.add_client_error("stop_db_cluster", "InvalidDBClusterStateFault", "not available")
    (outcome,) = rds.compute.stop([ref(f"{CLUSTER}shop")])
    assert (outcome.accepted, outcome.code) == (False, "InvalidDBClusterStateFault")
