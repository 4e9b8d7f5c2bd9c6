"""What surrounds ALBs, in memory: certificates, zones, routes, quotas, the function, records, and a resolver."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.domain.alb_seen import Quotas, SeenFunction
from chalicelib.domain.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.adapters.memory.albs import FakeElb
    from chalicelib.domain.alb_seen import SeenAlb, SeenCertificate, SeenZone

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:autostop-test-warm_up"


@dataclass(slots=True)
class FakeAlbAccount:
    """Implements AlbAccount."""

    elb: FakeElb
    certificates: dict[str, SeenCertificate] = field(default_factory=dict)
    zones: dict[str, SeenZone] = field(default_factory=dict)
    public: set[str] = field(default_factory=set)
    """Subnets with a route to an internet gateway."""
    limits: Quotas = field(default_factory=Quotas)
    fail_next: deque[CloudError] = field(default_factory=deque)

    def certificate(self, arn: str) -> SeenCertificate | None:
        self._ask()
        return self.certificates.get(arn)

    def zone(self, zone_id: str) -> SeenZone | None:
        self._ask()
        return self.zones.get(zone_id)

    def balancer(self, region: str, arn: str) -> SeenAlb | None:
        del region
        self._ask()
        found = self.elb.albs.get(arn)
        return found[1] if found else None

    def public_subnets(self, region: str, vpc_id: str, ids: Sequence[str]) -> frozenset[str]:
        del region, vpc_id
        self._ask()
        return frozenset(ids) & self.public

    def quotas(self, region: str) -> Quotas:
        del region
        self._ask()
        return self.limits

    def _ask(self) -> None:
        if self.fail_next:
            raise self.fail_next.popleft()


@dataclass(slots=True)
class FakeWarmUpFunction:
    """Implements WarmUpFunction."""

    function: SeenFunction | None = field(default_factory=lambda: SeenFunction(FUNCTION, allowed=False, code="abc"))
    fail_next: deque[CloudError] = field(default_factory=deque)

    def find(self, region: str) -> SeenFunction | None:
        del region
        if self.fail_next:
            raise self.fail_next.popleft()
        return self.function

    def allow(self, region: str) -> None:
        del region
        if self.function is not None:
            self.function = replace(self.function, allowed=True)


@dataclass(slots=True)
class FakeDnsRecords:
    """Implements DnsRecords."""

    records: dict[tuple[str, str], str] = field(default_factory=dict)

    def find(self, zone_id: str, name: str) -> str | None:
        return self.records.get((zone_id, name))

    def put(self, zone_id: str, name: str, alb: tuple[str, str], *, over: bool) -> None:
        if (zone_id, name) in self.records and not over:
            raise CloudError("InvalidChangeBatch", f"{name} exists already")
        self.records[zone_id, name] = alb[0]

    def delete(self, zone_id: str, name: str, alb: tuple[str, str]) -> None:
        if self.records.get((zone_id, name)) == alb[0]:
            del self.records[zone_id, name]


@dataclass(slots=True)
class FakeResolver:
    """Implements Resolver. A name *.example.com answers for all names under it."""

    names: dict[str, frozenset[str]] = field(default_factory=dict)
    fail_next: deque[CloudError] = field(default_factory=deque)

    def addresses(self, name: str) -> frozenset[str]:
        if self.fail_next:
            raise self.fail_next.popleft()
        return self.names.get(name) or self.names.get(f"*.{name.partition('.')[2]}", frozenset())
