"""How far the making of a load balancer is, as it is stored beside its load balancer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.albs import MadeAlb
    from chalicelib.domain.certificates import Certificate


class Phase(StrEnum):
    """The status of a load balancer that AutoStop makes."""

    CREATING = "creating"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class RetiredKey:
    """A key that another took the place of, and when it ends."""

    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Provision:
    """`revision` counts the writes.

    `api_url`: where the VM reaches the API. `machine` counts the machines asked for, and `subnet` the subnets tried for
    the one at hand: together they make the client token of a launch. `machine_failed`: only another machine can help.
    `proven` are the certificates whose secrets were read and examined. `stuck_since`: AWS has refused ever since, in
    words that promise to pass. `alb` is what stands of an ALB. `lease_until`: a worker is at it until then.
    """

    phase: Phase
    api_url: str
    look_at: datetime
    reason: str | None = None
    machine: int = 1
    subnet: int = 0
    machine_failed: bool = False
    launched_at: datetime | None = None
    instance_id: str | None = None
    private_ip: str | None = None
    public_ip: str | None = None
    secret_arn: str | None = None
    key_id: str | None = None
    key_at: datetime | None = None
    retired: tuple[RetiredKey, ...] = ()
    renew_key: bool = False
    proven: tuple[Certificate, ...] = ()
    stuck_since: datetime | None = None
    lease_until: datetime | None = None
    revision: int = 0
    alb: MadeAlb | None = None


def asked_again(provision: Provision, now: datetime) -> Provision:
    """A person changed or repeated the order: go on at once, with another machine where only that can help."""
    # Whoever is at it works for the order as it was: its next write fails, so that its lease is worth nothing.
    again = replace(provision, look_at=now, lease_until=None)
    if provision.phase is Phase.FAILED:
        again = replace(again, phase=Phase.CREATING, reason=None)
    return with_another_machine(again) if provision.machine_failed else again


def with_another_machine(provision: Provision) -> Provision:
    """The next launch is a new one; a machine that is still there is terminated after it."""
    return replace(
        provision,
        machine=provision.machine + 1,
        subnet=0,
        machine_failed=False,
        launched_at=None,
        instance_id=None,
        private_ip=None,
        public_ip=None,
    )
