"""A network in memory: VPCs with subnets and groups, key pairs, offers and secrets, and refusals on request."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.domain.network import Ingress, SecurityGroup, Subnet, Vpc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.errors import CloudError


@dataclass(slots=True)
class FakeNetwork:
    """Implements Network. Ids belong to a region, as in AWS: the same id elsewhere is another thing, or none."""

    asked: list[str] = field(default_factory=list)
    """The questions so far, by the name of the method."""
    fail_next: deque[CloudError] = field(default_factory=deque)
    refusals: dict[str, CloudError] = field(default_factory=dict)
    """By the name of the method: refused until it is taken away, as where a policy does not allow it."""
    key_pairs: set[tuple[str, str]] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    offers: set[tuple[str, str]] = field(default_factory=set)
    """Machine type and zone."""
    graviton: set[str] = field(default_factory=lambda: {"t4g.micro"})
    """Machine types with an arm64 processor; all others have x86_64."""
    _vpcs: dict[tuple[str, str], Vpc] = field(default_factory=dict)
    _subnets: dict[tuple[str, str], Subnet] = field(default_factory=dict)
    _groups: dict[tuple[str, str], SecurityGroup] = field(default_factory=dict)

    def add_vpc(self, region: str, vpc_id: str, cidr: str) -> None:
        """There is a VPC."""
        self._vpcs[region, vpc_id] = Vpc(vpc_id, cidr)

    def add_subnet(self, region: str, subnet: Subnet) -> None:
        """There is a subnet in a VPC that exists."""
        self._inside(region, subnet.vpc_id)
        self._subnets[region, subnet.id] = subnet

    def add_group(self, region: str, group_id: str, vpc_id: str) -> None:
        """There is a group in a VPC that exists; like every new one it lets nobody in."""
        self._inside(region, vpc_id)
        self._groups[region, group_id] = SecurityGroup(group_id, vpc_id)

    def open(self, region: str, group_id: str, ingress: Ingress) -> None:
        """Somebody adds an inbound rule to a group."""
        group = self._groups[region, group_id]
        self._groups[region, group_id] = replace(group, ingress=(*group.ingress, ingress))

    def vpc(self, region: str, vpc_id: str) -> Vpc | None:
        self._ask("vpc")
        return self._vpcs.get((region, vpc_id))

    def subnets(self, region: str, ids: Sequence[str]) -> dict[str, Subnet]:
        if ids:
            self._ask("subnets")
        return {id_: self._subnets[region, id_] for id_ in ids if (region, id_) in self._subnets}

    def security_groups(self, region: str, ids: Sequence[str]) -> dict[str, SecurityGroup]:
        if ids:
            self._ask("security_groups")
        return {id_: self._groups[region, id_] for id_ in ids if (region, id_) in self._groups}

    def zones_offering(self, region: str, machine_type: str) -> frozenset[str]:
        self._ask("zones_offering")
        return frozenset(zone for type_, zone in self.offers if type_ == machine_type and zone.startswith(region))

    def architectures(self, region: str, machine_type: str) -> frozenset[str]:
        self._ask("architectures")
        there = any(type_ == machine_type and zone.startswith(region) for type_, zone in self.offers)
        return frozenset({"arm64" if machine_type in self.graviton else "x86_64"}) if there else frozenset()

    def has_key_pair(self, region: str, name: str) -> bool:
        self._ask("has_key_pair")
        return (region, name) in self.key_pairs

    def has_secret(self, arn: str) -> bool:
        self._ask("has_secret")
        return arn in self.secrets

    def _ask(self, question: str) -> None:
        self.asked.append(question)
        if self.fail_next:
            raise self.fail_next.popleft()
        if question in self.refusals:
            raise self.refusals[question]

    def _inside(self, region: str, vpc_id: str) -> None:
        if (region, vpc_id) not in self._vpcs:
            raise ValueError(f"there is no {vpc_id} in {region} for it to be in")
