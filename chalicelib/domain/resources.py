"""What can be stopped, and what we observed of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.products import Ec2Product, RdsProduct


class ResourceKind(StrEnum):
    """The kinds of resource that a rule can hold."""

    EC2 = "ec2"
    RDS = "rds"


class ResourceState(StrEnum):
    """The states of EC2, to which every kind is mapped.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
    """

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    GONE = "gone"
    """Shutting down, terminated, or not known to AWS: nothing of it can be started again."""


class Protection(StrEnum):
    """Why a resource is never stopped, whatever a rule says (design, section 2)."""

    AUTO_SCALING = "auto_scaling"
    SPOT = "spot"
    INSTANCE_STORE_ROOT = "instance_store_root"
    STOP_PROTECTION = "stop_protection"
    PROXY = "proxy"
    DATA_LOSS = "data_loss"
    READ_REPLICA = "read_replica"
    REPLICA_SOURCE = "replica_source"
    CLUSTER_MEMBER = "cluster_member"
    SQL_SERVER_MULTI_AZ = "sql_server_multi_az"
    MULTI_AZ_CLUSTER = "multi_az_cluster"
    SERVERLESS_V1 = "serverless_v1"
    GLOBAL_DATABASE = "global_database"
    ENGINE_MODE = "engine_mode"
    FOREIGN_ENGINE = "foreign_engine"

    @property
    def words(self) -> str:
        """The protection as a person reads it, after the resource's id."""
        return _PROTECTION_WORDS[self]


_PROTECTION_WORDS = {
    Protection.AUTO_SCALING: (
        "is a member of an Auto Scaling group, which would terminate and replace it when it is stopped"
    ),
    Protection.SPOT: "is a one-time Spot instance, which cannot be stopped",
    Protection.INSTANCE_STORE_ROOT: "has an instance-store root volume, which cannot be stopped",
    Protection.STOP_PROTECTION: "has stop protection (disableApiStop) switched on",
    Protection.PROXY: "is a proxy of AutoStop itself",
    Protection.DATA_LOSS: (
        "has instance-store volumes, whose data a stop erases; set accept_data_loss to true to allow it"
    ),
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html#USER_StopInstance.Limitations
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-cluster-stop-start.html
    Protection.READ_REPLICA: "is a read replica, which AWS does not stop",
    Protection.REPLICA_SOURCE: "has read replicas, and AWS does not stop what is replicated",
    Protection.CLUSTER_MEMBER: (
        "belongs to a DB cluster, which AWS stops only as a whole; name the cluster in cluster_ids instead"
    ),
    Protection.SQL_SERVER_MULTI_AZ: "is SQL Server in a Multi-AZ deployment, which AWS does not stop",
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/multi-az-db-clusters-concepts.Limitations.html
    Protection.MULTI_AZ_CLUSTER: "is a Multi-AZ DB cluster, which AWS neither stops nor starts, unlike Aurora",
    Protection.SERVERLESS_V1: "is Aurora Serverless v1, which AWS does not stop; it can pause by itself",
    Protection.GLOBAL_DATABASE: "is a member of an Aurora global database, which AWS does not stop",
    Protection.ENGINE_MODE: "is an Aurora cluster of a mode (multi-master, parallel query) that AWS does not stop",
    Protection.FOREIGN_ENGINE: "is neither an RDS nor an Aurora database, though the API of RDS lists it",
}


@dataclass(frozen=True, slots=True, order=True)
class Connector:
    """How another account lets us in: the role to assume there, and the external id that its trust policy demands.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html
    """

    role_arn: str = ""
    external_id: str = ""

    @property
    def account(self) -> str:
        """The id of that account; empty for the stage's own."""
        return self.role_arn.split(":")[4] if self.role_arn else ""


OWN_ACCOUNT = Connector()
"""No role to assume: the account that the stage runs in."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where resources are: what one describe, one message to the worker and one back-off are for."""

    kind: ResourceKind
    region: str
    connector: Connector = OWN_ACCOUNT


@dataclass(frozen=True, slots=True, order=True)
class ResourceRef:
    """The identity of a resource."""

    kind: ResourceKind
    region: str
    id: str
    connector: Connector = OWN_ACCOUNT

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.kind, self.region, self.connector)


CLUSTER = "cluster:"
"""What the id of a DB cluster begins with, as at the end of its ARN: a DB instance may have the same name."""


@dataclass(frozen=True, slots=True)
class ObservedResource:
    """A resource as AWS described it.

    `state_reason` is AWS's own code and message of the last transition, as in
    `Client.InternalError: Client error on launch`. `status_ok` is the verdict of the EC2 status checks
    (2/2 ok), None where they were not asked for. `can_hibernate`: it was launched with hibernation enabled.
    `product` is what AWS charges for while it is up, None where the description does not say.

    Of databases: `endpoint` is the DNS name that clients connect to. `busy`: why AWS would refuse to stop it now, or
    why that would do harm, in words that continue its id, as in `is being backed up`. `fault`: the same of why it
    neither runs nor can be started before somebody mends it. `restarts_at`: when AWS starts it by itself, told only
    while it is stopped. `parts`: the DB instances that a cluster consists of.
    """

    ref: ResourceRef
    state: ResourceState
    private_ip: str | None = None
    name: str | None = None
    state_reason: str | None = None
    protections: tuple[Protection, ...] = ()
    status_ok: bool | None = None
    launched_at: datetime | None = None
    can_hibernate: bool = False
    product: Ec2Product | RdsProduct | None = None
    endpoint: str | None = None
    busy: str | None = None
    fault: str | None = None
    restarts_at: datetime | None = None
    parts: tuple[ResourceRef, ...] = ()

    @property
    def measured(self) -> tuple[ResourceRef, ...]:
        """Whose metrics tell of it: its own, or those of each DB instance of a cluster."""
        return self.parts or (self.ref,)

    def blocking_protections(self, *, accept_data_loss: bool) -> tuple[Protection, ...]:
        """The protections that forbid a stop, given what the rule's owner accepted."""
        return tuple(p for p in self.protections if not (p is Protection.DATA_LOSS and accept_data_loss))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What AWS said to one start or stop: accepted, or refused with its code and message.

    `note` tells what was done otherwise than asked for, as a stop instead of a hibernation.
    """

    ref: ResourceRef
    accepted: bool
    code: str | None = None
    message: str | None = None
    note: str | None = None
