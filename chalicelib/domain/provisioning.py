"""A proxy's VM in the making: what stands of it in the account, and the steps that there are.

Nothing is remembered that can be looked at: every part has the load balancer's id in its name or its tags, so a worker
that died in the middle is followed by one that looks and goes on (`domain.provisioning_steps` says with what).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from chalicelib.domain.network_checks import MissingRule

_SOON = timedelta(seconds=10)


class MachineState(StrEnum):
    """EC2's own states.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
    """

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"

    @property
    def is_over(self) -> bool:
        """Whether it can never run again."""
        return self in {MachineState.SHUTTING_DOWN, MachineState.TERMINATED}


@dataclass(frozen=True, slots=True)
class Machine:
    """A VM of the proxy as EC2 shows it; `why` is EC2's reason for its state. Terminated ones are shown for an hour."""

    id: str
    state: MachineState
    group_ids: frozenset[str]
    private_ip: str | None = None
    public_ip: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """An Elastic IP of the proxy, and the machine it is on."""

    allocation_id: str
    public_ip: str
    instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class OpenedRule:
    """An inbound rule that we added to a group of the user's."""

    id: str
    group_id: str
    first: int
    last: int
    source: str


@dataclass(frozen=True, slots=True)
class KeySecret:
    """The secret that we made, and the key that it says it holds."""

    arn: str
    key_id: str | None


class RoleState(StrEnum):
    """The role and instance profile of the VM: not (wholly) there, with other rights than it needs, or right."""

    ABSENT = "absent"
    DIFFERENT = "different"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands in the account of one load balancer. `keys` are those of ours that exist.

    `missing` are the rules to be opened, as if none of ours were there; `applied` whether the agent of the machine in
    use has said that Envoy runs a configuration.
    """

    secret: KeySecret | None
    keys: frozenset[str]
    role: RoleState
    machines: tuple[Machine, ...]
    addresses: tuple[Address, ...]
    opened: tuple[OpenedRule, ...]
    missing: tuple[MissingRule, ...]
    applied: bool


@dataclass(frozen=True, slots=True)
class MakeKey:
    """A key for the proxy, into its secret; a new one where there is one already."""


@dataclass(frozen=True, slots=True)
class EndKey:
    """A key of ours that is not used any more."""

    key_id: str


@dataclass(frozen=True, slots=True)
class PutRole:
    """The role and instance profile, with just the rights that the VM needs."""


@dataclass(frozen=True, slots=True)
class ProveCertificates:
    """Read the certificates with the VM's own rights, and examine them."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A machine in a subnet; the same token launches no second one."""

    subnet_id: str
    token: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The machine is gone: another is to take its place."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class Terminate:
    """A machine that is not wanted any more."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class Allocate:
    """An Elastic IP."""


@dataclass(frozen=True, slots=True)
class Associate:
    """The Elastic IP with the machine."""

    allocation_id: str
    instance_id: str


@dataclass(frozen=True, slots=True)
class Release:
    """An Elastic IP that is not wanted any more."""

    allocation_id: str


@dataclass(frozen=True, slots=True)
class SetGroups:
    """Other security groups for the machine."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class OpenPorts:
    """An inbound rule that is missing."""

    rule: MissingRule


@dataclass(frozen=True, slots=True)
class ClosePorts:
    """An inbound rule of ours that nothing needs any more."""

    rule: OpenedRule


@dataclass(frozen=True, slots=True)
class DropRole:
    """Role and instance profile."""


@dataclass(frozen=True, slots=True)
class DropSecret:
    """The secret that we made."""

    arn: str


@dataclass(frozen=True, slots=True)
class Wait:
    """For something that only takes time."""

    reason: str
    next_look: timedelta = _SOON


@dataclass(frozen=True, slots=True)
class Fail:
    """It does not go on by itself soon; it is looked at again all the same. `machine`: only another one can help."""

    reason: str
    machine: bool = False


@dataclass(frozen=True, slots=True)
class Stand:
    """All is as it should be."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing of it is left."""


Act: TypeAlias = (
    MakeKey
    | EndKey
    | PutRole
    | ProveCertificates
    | Launch
    | Forget
    | Terminate
    | Allocate
    | Associate
    | Release
    | SetGroups
    | OpenPorts
    | ClosePorts
    | DropRole
    | DropSecret
)
Step: TypeAlias = Act | Wait | Fail | Stand | Gone
