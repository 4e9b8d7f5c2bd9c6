"""What is wrong with the network that a load balancer names, all at once, before anything is made there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.errors import Fault
from chalicelib.domain.network import Unread, secret_region

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.network import NetworkFacts, SecurityGroup, Subnet


NEEDED = "x86_64"
"""The processor that the pinned Envoy and the machine image are for."""


@dataclass(frozen=True, slots=True)
class MissingRule:
    """An inbound rule that somebody has to add before anybody can reach these ports."""

    group_id: str
    first: int
    last: int
    source: str | None
    """None where the VPC's own range is not known."""
    protocol: str = "tcp"

    @property
    def words(self) -> str:
        """What to add, to the letter."""
        one = self.first == self.last
        ports = f"port {self.first}" if one else f"ports {self.first}-{self.last}"
        source = "the addresses of those who use it" if self.source is None else f"{self.source} (the VPC), or wider"
        return (
            f"no security group lets anybody reach {ports}: add to {self.group_id} an inbound rule with "
            f"protocol {self.protocol}, {ports}, source {source}"
        )


def faults_of(balancer: LoadBalancer, facts: NetworkFacts) -> tuple[Fault, ...]:
    """Why it cannot be made. A VM of the user's own stands already, wherever that is, so it never has any."""
    return () if balancer.existing else tuple(_doubts(balancer, facts))


def placement_faults(balancer: LoadBalancer, facts: NetworkFacts, *, needed: bool) -> tuple[Fault, ...]:
    """Of VPC, subnets and groups alone. `needed`: it must name some of each."""
    return tuple(_placement(balancer, facts, needed=needed))


def warnings_of(balancer: LoadBalancer, ports: Collection[int], facts: NetworkFacts) -> tuple[Fault, ...]:
    """What people should know of it, who may be unable to reach the `ports` that its rules listen on."""
    doubts = _doubts(balancer, facts) if balancer.existing else ()
    missing = missing_rules(balancer, ports, facts)
    return (*doubts, *(Fault("security_group_ids", rule.words) for rule in missing))


def missing_rules(balancer: LoadBalancer, ports: Collection[int], facts: NetworkFacts) -> tuple[MissingRule, ...]:
    """One for each run of ports that no group opens, since a group has room for few rules.

    None where any of the groups is not known: that one may open them all, and is complained of anyway.
    """
    groups = _known_groups(balancer, facts)
    if not groups:
        return ()
    shut = [port for port in ports if not any(rule.opens(port) for group in groups for rule in group.ingress)]
    at = next((group for group in groups if group.vpc_id == balancer.vpc_id), groups[0])
    source = None if facts.vpc is None or isinstance(facts.vpc, Unread) else facts.vpc.cidr
    return tuple(MissingRule(at.id, first, last, source) for first, last in _runs(shut))


def _known_groups(balancer: LoadBalancer, facts: NetworkFacts) -> Sequence[SecurityGroup]:
    if isinstance(facts.groups, Unread):
        return ()
    found = [facts.groups[id_] for id_ in balancer.security_group_ids if id_ in facts.groups]
    return found if len(found) == len(balancer.security_group_ids) else ()


def _runs(ports: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The first and last of each run of ports that follow each other."""
    run: tuple[int, int] | None = None
    for port in sorted(set(ports)):
        if run is not None and port == run[1] + 1:
            run = (run[0], port)
            continue
        if run is not None:
            yield run
        run = (port, port)
    if run is not None:
        yield run


def _doubts(balancer: LoadBalancer, facts: NetworkFacts) -> Iterator[Fault]:
    yield from _placement(balancer, facts, needed=not balancer.existing)
    yield from _machine_type(balancer, facts)
    yield from _key_pair(balancer, facts)
    yield from _secret(balancer, facts)


def _placement(balancer: LoadBalancer, facts: NetworkFacts, *, needed: bool) -> Iterator[Fault]:
    if isinstance(facts.vpc, Unread):
        yield _unread("vpc_id", facts.vpc)
    elif facts.vpc is None:
        yield Fault("vpc_id", f"there is no {balancer.vpc_id} in {balancer.region}")
    yield from _placed("subnet_ids", balancer, balancer.subnet_ids, facts.subnets, needed=needed)
    yield from _placed("security_group_ids", balancer, balancer.security_group_ids, facts.groups, needed=needed)


def _placed(
    field: str,
    balancer: LoadBalancer,
    ids: Sequence[str],
    known: Mapping[str, Subnet] | Mapping[str, SecurityGroup] | Unread,
    *,
    needed: bool,
) -> Iterator[Fault]:
    if not ids:
        # Nothing can be made outside every subnet, and without a group it gets the VPC's default, which opens nothing.
        if needed:
            yield Fault(field, "must name at least one")
    elif isinstance(known, Unread):
        yield _unread(field, known)
    else:
        for n, id_ in enumerate(ids):
            found = known.get(id_)
            if found is None:
                yield Fault(f"{field}[{n}]", f"there is no {id_} in {balancer.region}")
            elif found.vpc_id != balancer.vpc_id:
                yield Fault(f"{field}[{n}]", f"{id_} is in {found.vpc_id}, not in {balancer.vpc_id}")


def _machine_type(balancer: LoadBalancer, facts: NetworkFacts) -> Iterator[Fault]:
    known = facts.architectures
    if isinstance(known, Unread) and not isinstance(facts.zones, Unread):
        yield _unread("machine_type", known)
    elif known and not isinstance(known, Unread) and NEEDED not in known:
        offered = ", ".join(sorted(known))
        yield Fault("machine_type", f"{balancer.machine_type} is {offered}, and the proxy's programs are {NEEDED}")
    if facts.zones is None:
        return
    if isinstance(facts.zones, Unread):
        yield _unread("machine_type", facts.zones)
    elif not facts.zones:
        yield Fault("machine_type", f"{balancer.machine_type} is not offered in {balancer.region}")
    elif not isinstance(facts.subnets, Unread):
        subnets = [facts.subnets[id_] for id_ in dict.fromkeys(balancer.subnet_ids) if id_ in facts.subnets]
        without = [f"{subnet.zone} ({subnet.id})" for subnet in subnets if subnet.zone not in facts.zones]
        if without:
            where, offered = ", ".join(without), ", ".join(sorted(facts.zones))
            yield Fault("machine_type", f"{balancer.machine_type} is not offered in {where}, only in {offered}")


def _key_pair(balancer: LoadBalancer, facts: NetworkFacts) -> Iterator[Fault]:
    if isinstance(facts.key_pair, Unread):
        yield _unread("key_pair", facts.key_pair)
    elif balancer.key_pair is not None and facts.key_pair is False:
        yield Fault("key_pair", f"there is no key pair {balancer.key_pair} in {balancer.region}")


def _secret(balancer: LoadBalancer, facts: NetworkFacts) -> Iterator[Fault]:
    field, arn = "api_key_secret_arn", balancer.api_key_secret_arn
    if arn is not None and secret_region(arn) is None:
        yield Fault(field, "is not the ARN of a secret in Secrets Manager")
    elif isinstance(facts.secret, Unread):
        yield _unread(field, facts.secret)
    elif facts.secret is False:
        yield Fault(field, "there is no such secret, or it is about to be deleted")


def _unread(field: str, unread: Unread) -> Fault:
    return Fault(field, f"could not be looked at: {unread.why}")
