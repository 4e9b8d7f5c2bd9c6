"""What RDS says of a DB instance or a DB cluster, in our words. Pure: no call is made here."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from chalicelib.domain.database_states import meaning
from chalicelib.domain.products import Deployment, RdsProduct
from chalicelib.domain.resources import CLUSTER, ObservedResource, Protection, ResourceRef, ResourceState
from chalicelib.domain.upkeep import MaintenanceWindow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_rds.type_defs import (
        DBClusterTypeDef,
        DBInstanceTypeDef,
        PendingMaintenanceActionTypeDef,
        TagTypeDef,
    )

    from chalicelib.domain.resources import Place

# Managed through the same API, and no business of RDS.
_FOREIGN = ("neptune", "docdb")
_PROVISIONED = frozenset({"", "provisioned"})


def instance_ref(place: Place, id_: str) -> ResourceRef:
    """A DB instance's."""
    return ResourceRef(place.kind, place.region, id_, place.connector)


def cluster_ref(place: Place, id_: str) -> ResourceRef:
    """A DB cluster's."""
    return ResourceRef(place.kind, place.region, CLUSTER + id_, place.connector)


def observed_instance(place: Place, instance: DBInstanceTypeDef) -> ObservedResource:
    """A DB instance, with why it must not be stopped."""
    status = instance.get("DBInstanceStatus", "")
    means = meaning(status)
    return ObservedResource(
        instance_ref(place, instance["DBInstanceIdentifier"]),
        means.state,
        name=instance["DBInstanceIdentifier"],
        state_reason=None if status in {"available", "stopped"} else status,
        protections=tuple(_of_instance(instance)),
        product=_instance_product(place.region, instance),
        endpoint=instance.get("Endpoint", {}).get("Address"),
        busy=means.busy,
        fault=means.fault,
        restarts_at=_utc(instance.get("AutomaticRestartTime")),
    )


def observed_cluster(place: Place, cluster: DBClusterTypeDef, members: Sequence[DBInstanceTypeDef]) -> ObservedResource:
    """A DB cluster with its instances: AWS stops it as a whole, and only while each of them lets it."""
    status = cluster.get("Status", "")
    means = meaning(status)
    busy = means.busy
    if means.state is ResourceState.RUNNING and busy is None:
        busy = next((why for m in members if (why := _at_work(m))), None)
    return ObservedResource(
        cluster_ref(place, cluster["DBClusterIdentifier"]),
        means.state,
        name=cluster["DBClusterIdentifier"],
        state_reason=None if status in {"available", "stopped"} else status,
        protections=tuple(_of_cluster(cluster)),
        product=_cluster_product(place.region, cluster, members),
        endpoint=cluster.get("Endpoint"),
        busy=busy,
        fault=means.fault,
        restarts_at=_utc(cluster.get("AutomaticRestartTime")),
        parts=tuple(sorted(instance_ref(place, m["DBInstanceIdentifier"]) for m in members)),
    )


def _at_work(member: DBInstanceTypeDef) -> str | None:
    """Why a cluster is not stopped because of this instance of it."""
    status = member.get("DBInstanceStatus", "")
    means = meaning(status)
    if means.state is ResourceState.RUNNING and means.busy is None:
        return None
    return f"has instance {member['DBInstanceIdentifier']}, which {means.busy or means.fault or f'is {status}'}"


def tags_of(tags: Sequence[TagTypeDef]) -> dict[str, str]:
    """All of them."""
    return {tag.get("Key", ""): tag.get("Value", "") for tag in tags}


def window_ends(described: DBInstanceTypeDef | DBClusterTypeDef, now: datetime) -> datetime | None:
    """When its maintenance window is over, if that is now or soon."""
    window = MaintenanceWindow.of(described.get("PreferredMaintenanceWindow", ""))
    return None if window is None else window.ends(now)


def upkeep(
    described: DBInstanceTypeDef | DBClusterTypeDef, actions: Sequence[PendingMaintenanceActionTypeDef], ends: datetime
) -> str | None:
    """What AWS is to do to it in the window that ends then, in words that continue its id; None if nothing."""
    if any(described.get("PendingModifiedValues", {}).values()):
        return "has changes to be applied in its maintenance window, which is now or soon"
    # An action without a date is an offer: nobody has accepted it, and AWS does not force it yet.
    due = [a for a in actions if (at := _utc(a.get("CurrentApplyDate"))) is not None and at <= ends]
    if due:
        return f"has maintenance ({due[0].get('Action', 'unnamed')}) in its window, which is now or soon"
    return None


def _of_instance(instance: DBInstanceTypeDef) -> Iterator[Protection]:
    engine = instance.get("Engine", "")
    if engine.startswith(_FOREIGN):
        yield Protection.FOREIGN_ENGINE
    if instance.get("DBClusterIdentifier"):
        yield Protection.CLUSTER_MEMBER
    if instance.get("ReadReplicaSourceDBInstanceIdentifier") or instance.get("ReadReplicaSourceDBClusterIdentifier"):
        yield Protection.READ_REPLICA
    if instance.get("ReadReplicaDBInstanceIdentifiers") or instance.get("ReadReplicaDBClusterIdentifiers"):
        yield Protection.REPLICA_SOURCE
    # With mirroring MultiAZ may be false, but there is a second zone; RDS Custom has the engine in its name.
    if "sqlserver" in engine and (instance.get("MultiAZ") or instance.get("SecondaryAvailabilityZone")):
        yield Protection.SQL_SERVER_MULTI_AZ


def _of_cluster(cluster: DBClusterTypeDef) -> Iterator[Protection]:
    mode = cluster.get("EngineMode", "")
    if cluster.get("Engine", "").startswith(_FOREIGN):
        yield Protection.FOREIGN_ENGINE
    elif not cluster.get("Engine", "").startswith("aurora"):
        yield Protection.MULTI_AZ_CLUSTER
    if mode == "serverless":
        yield Protection.SERVERLESS_V1
    elif mode == "global" or cluster.get("GlobalClusterIdentifier"):
        yield Protection.GLOBAL_DATABASE
    elif mode not in _PROVISIONED:
        yield Protection.ENGINE_MODE
    if cluster.get("ReplicationSourceIdentifier"):
        yield Protection.READ_REPLICA
    if cluster.get("ReadReplicaIdentifiers"):
        yield Protection.REPLICA_SOURCE


def _instance_product(region: str, instance: DBInstanceTypeDef) -> RdsProduct | None:
    if "DBInstanceClass" not in instance:
        return None
    deployment = Deployment.MULTI_AZ if instance.get("MultiAZ") else Deployment.SINGLE_AZ
    license_model = instance.get("LicenseModel", "")
    return RdsProduct(region, instance["DBInstanceClass"], instance.get("Engine", ""), license_model, deployment)


def _cluster_product(region: str, cluster: DBClusterTypeDef, members: Sequence[DBInstanceTypeDef]) -> RdsProduct | None:
    """Of a Multi-AZ DB cluster, or of Aurora; several classes in one cluster are no one product."""
    engine = cluster.get("Engine", "")
    if not engine.startswith("aurora"):
        class_ = cluster.get("DBClusterInstanceClass")
        license_model = next((m.get("LicenseModel", "") for m in members), "")
        if class_ is None:
            return None
        return RdsProduct(region, class_, engine, license_model, Deployment.MULTI_AZ_CLUSTER)
    classes = {m["DBInstanceClass"] for m in members if "DBInstanceClass" in m}
    if len(classes) != 1:
        return None
    io_optimized = cluster.get("StorageType") == "aurora-iopt1"
    return RdsProduct(region, classes.pop(), engine, io_optimized=io_optimized, instances=len(members))


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC)


def of_the_same(tags: Mapping[str, str], others: Mapping[str, str], keys: Sequence[str]) -> bool:
    """Whether both have the same under these keys."""
    return all(tags.get(key) == others.get(key) for key in keys)
