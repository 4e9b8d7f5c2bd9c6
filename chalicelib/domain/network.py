"""The network that a load balancer stands in, as far as AWS told us."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ANY_PROTOCOL = "-1"
"""How EC2 writes a rule for every protocol. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html"""

_TCP = frozenset({"tcp", "6", ANY_PROTOCOL})
_SECRET_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):\d{12}:secret:[\w/+=.@-]+")


@dataclass(frozen=True, slots=True)
class Vpc:
    """A VPC with its primary range of addresses."""

    id: str
    cidr: str


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet, and the zone that its machines are in."""

    id: str
    vpc_id: str
    zone: str


@dataclass(frozen=True, slots=True)
class Ingress:
    """One inbound rule. `ports` is an inclusive range, None for all; `sources` are ranges, groups and prefix lists."""

    protocol: str
    ports: tuple[int, int] | None
    sources: tuple[str, ...]

    def opens(self, port: int) -> bool:
        """Whether it lets anybody at all reach this TCP port."""
        if not self.sources or self.protocol not in _TCP:
            return False
        return self.protocol == ANY_PROTOCOL or self.ports is None or self.ports[0] <= port <= self.ports[1]


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A security group and what it lets in."""

    id: str
    vpc_id: str
    ingress: tuple[Ingress, ...] = ()


@dataclass(frozen=True, slots=True)
class Unread:
    """That something could not be looked at, and why. Not the same as that it does not exist."""

    why: str


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What AWS said of the things that one load balancer names; None: was not asked for, or does not exist (`vpc`)."""

    vpc: Vpc | Unread | None
    subnets: Mapping[str, Subnet] | Unread
    groups: Mapping[str, SecurityGroup] | Unread
    zones: frozenset[str] | Unread | None = None
    """Where its machine type is offered."""
    architectures: frozenset[str] | Unread | None = None
    """What processors its machine type has."""
    key_pair: bool | Unread | None = None
    secret: bool | Unread | None = None


def secret_region(arn: str) -> str | None:
    """The region that the ARN of a secret names; None for what is not the ARN of a secret."""
    found = _SECRET_ARN.fullmatch(arn)
    return found and found[1]
