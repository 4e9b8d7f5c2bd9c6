"""Whether names under a load balancer's domain lead to it, as this machine's resolver sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.albs import cname
from chalicelib.domain.errors import ConflictError

if TYPE_CHECKING:
    from chalicelib.ports import Ids, LoadBalancerRepository, Resolver


@dataclass(frozen=True, slots=True)
class DnsCheck:
    """`name` was asked for; `addresses` are its own, `wanted` those of the ALB."""

    ok: bool
    name: str
    addresses: tuple[str, ...]
    wanted: tuple[str, ...]
    words: str


@dataclass(slots=True)
class CheckDns:
    """Asks for a name that nobody has asked for yet, so that no cache answers."""

    balancers: LoadBalancerRepository
    resolver: Resolver
    ids: Ids

    def of(self, load_balancer_id: str) -> DnsCheck:
        """Raises NotFoundError, ConflictError where there is no ALB (yet), CloudError where DNS does not answer."""
        balancer = self.balancers.get(load_balancer_id)
        settings = balancer.alb
        if settings is None:
            raise ConflictError(f"{load_balancer_id} is a proxy: names are pointed to its address by hand.")
        made = balancer.provision.alb if balancer.provision else None
        if made is None or made.dns_name is None:
            raise ConflictError(f"{load_balancer_id} has no DNS name yet; it is {balancer.status}.")
        label = self.ids.new("autostop-check").replace("_", "-")
        name = settings.domain.replace("*", label, 1)
        found, wanted = self.resolver.addresses(name), self.resolver.addresses(made.dns_name)
        ok = bool(found & wanted)
        return DnsCheck(
            ok,
            name,
            tuple(sorted(found)),
            tuple(sorted(wanted)),
            _words(name, found, wanted, made.dns_name, cname(settings, made.dns_name)),
        )


def _words(name: str, found: frozenset[str], wanted: frozenset[str], dns_name: str, record: str) -> str:
    if not wanted:
        return f"{dns_name} has no address yet: AWS needs some minutes for a new load balancer."
    if not found:
        return f"{name} has no address: add the record `{record}`, or wait until it is known everywhere."
    if not found & wanted:
        return f"{name} leads to {', '.join(sorted(found))}, not to {dns_name}: the record must be `{record}`."
    return f"{name} leads to {dns_name}."
