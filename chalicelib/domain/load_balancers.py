"""What carries traffic to resources."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.domain.certificates import covers
from chalicelib.domain.errors import Fault
from chalicelib.domain.provision import Phase

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.albs import AlbSettings
    from chalicelib.domain.certificates import Certificate
    from chalicelib.domain.provision import Provision
    from chalicelib.domain.rules import RuleSpec

MAX_RULES_PER_PROXY = 2000


class LoadBalancerKind(StrEnum):
    """An AWS Application Load Balancer, or a VM that runs Envoy and our agent."""

    ALB = "alb"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """A load balancer as stored. `existing`: a VM of the user's own, registered and not made by us.

    `provision`: how far the VM is that we make, None for one of the user's own. `open_ports`: inbound rules that are
    missing for its rules' ports are added to its groups. `api_key_days`: how long a key that we make for it lives,
    None for ever.
    `balancer_cidrs`: the networks of a balancer in front of a proxy's members, whose own connections are nobody.
    `alb`: what is an ALB's own, None for a proxy.
    """

    id: str
    kind: LoadBalancerKind
    name: str
    region: str
    vpc_id: str
    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...]
    version: int
    created_at: datetime
    updated_at: datetime
    machine_type: str = "t3.micro"
    key_pair: str | None = None
    encrypted_volume: bool = True
    static_ip: bool = False
    api_key_secret_arn: str | None = None
    port_range: tuple[int, int] = (20000, 29999)
    existing: bool = False
    certificates: tuple[Certificate, ...] = ()
    open_ports: bool = False
    api_key_days: int | None = None
    balancer_cidrs: tuple[str, ...] = ()
    provision: Provision | None = None
    alb: AlbSettings | None = None

    @property
    def status(self) -> str:
        """How far its making is; what is the user's own is ready."""
        return Phase.READY.value if self.provision is None else self.provision.phase.value

    @property
    def key_secret_arn(self) -> str | None:
        """Where its proxies read their key: the secret that the user named, or the one that we made."""
        return self.api_key_secret_arn or (self.provision.secret_arn if self.provision else None)

    @property
    def beside_rules(self) -> tuple[object, ...]:
        """What its proxies poll together with their rules: a change of it is one of theirs."""
        return self.certificates, self.balancer_cidrs


def without_certificate(spec: RuleSpec, balancer: LoadBalancer) -> list[Fault]:
    """A fault for each host of a rule that is to be served over TLS and has no certificate."""
    return [
        Fault(f"http[{n}].hosts[{m}]", f"{host} has no certificate on load balancer {balancer.id}, and https needs one")
        for n, route in enumerate(spec.http)
        for m, host in enumerate(route.hosts)
        if route.listen_protocol == "https" and not covers(balancer.certificates, host)
    ]
