"""How old the newest word of each proxy on its configuration is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.load_balancers import LoadBalancerKind
from chalicelib.domain.members import FORGOTTEN
from chalicelib.ports.measures import Measure

if TYPE_CHECKING:
    from chalicelib.ports import Clock, LoadBalancerRepository, Measures, ProxyStore

PAGE = 100
LATE = timedelta(minutes=3)
"""A proxy speaks each minute: of one that does there is nothing to tell, and nothing to pay."""
SILENT = timedelta(minutes=10)
"""What it would tell of cannot be seen any more, and whoever comes by it starts nothing."""


@dataclass(slots=True)
class MeasureProxies:
    """Two reads a load balancer; who has been silent for longer than FORGOTTEN may be no more, and is left out."""

    balancers: LoadBalancerRepository
    proxies: ProxyStore
    measures: Measures
    clock: Clock

    def run(self) -> None:
        """Measure every proxy that is late, and was heard of at all lately."""
        now, cursor = self.clock.now(), None
        while True:
            page = self.balancers.list(PAGE, cursor)
            for balancer in page.items:
                if balancer.kind is not LoadBalancerKind.PROXY:
                    continue
                for source in self.proxies.sources(balancer.id):
                    age = None if source.span is None else now - source.span.end
                    if age is not None and LATE <= age <= FORGOTTEN:
                        self._late(f"{balancer.id}/{source.name}", age)
            cursor = page.next_cursor
            if cursor is None:
                return

    def _late(self, name: str, age: timedelta) -> None:
        self.measures.add(Measure.CONFIG_AGE, age.total_seconds(), of=name)
        if age >= SILENT:
            self.measures.add(Measure.BLIND, of=name)
