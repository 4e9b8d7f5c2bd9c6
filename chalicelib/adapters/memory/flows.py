"""What is watched in the flow logs in memory, and network interfaces that a test makes up."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.flow_logs import Interface
from chalicelib.domain.flow_proof import Stretches, extend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from chalicelib.adapters.memory.stores import MemoryActivity
    from chalicelib.domain.activity import Span
    from chalicelib.domain.flow_logs import FlowWatch
    from chalicelib.domain.resources import Place, ResourceRef
    from chalicelib.ports import Clock

WATCHED = timedelta(days=2)


class MemoryFlows:
    """Implements FlowStore."""

    def __init__(self, activity: MemoryActivity, clock: Clock) -> None:
        self._activity, self._clock = activity, clock
        self._watches: dict[str, tuple[datetime, FlowWatch]] = {}

    def watch(self, watch: FlowWatch) -> None:
        self._watches[watch.rule_id] = (self._clock.now() + WATCHED, watch)

    def watches(self) -> Sequence[FlowWatch]:
        now = self._clock.now()
        return [watch for expires, watch in self._watches.values() if expires > now]

    def prove(
        self, rule_id: str, interface: str, proved: Sequence[Span], skipped: Sequence[Span], window: timedelta
    ) -> None:
        known = self._activity.flows[rule_id]
        known[interface] = extend(known.get(interface, Stretches()), proved, skipped, window)


class FakeInterfaces:
    """Implements Interfaces. Every instance has one, named after it, unless `found` says otherwise."""

    def __init__(self) -> None:
        self.found: dict[ResourceRef, tuple[Interface, ...]] = {}
        self.calls = 0

    def of_instances(self, place: Place, refs: Sequence[ResourceRef]) -> Mapping[ResourceRef, tuple[Interface, ...]]:
        del place
        self.calls += 1
        return {ref: self.found.get(ref, (Interface(f"eni-{ref.id}", ("10.0.0.5",)),)) for ref in refs}
