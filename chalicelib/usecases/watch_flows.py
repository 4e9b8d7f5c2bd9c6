"""Which interfaces the flow logs are watched for, and what they prove of a rule."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.errors import CloudError
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.sources import SourceKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.activity import Source
    from chalicelib.domain.flow_logs import FlowWatch, Interface
    from chalicelib.domain.flow_proof import FlowProof
    from chalicelib.domain.resources import ObservedResource, ResourceRef
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import FlowStore, Interfaces

LOOKED_UP = timedelta(minutes=5)
"""For how long it is believed which interfaces an instance has."""

SAID_AGAIN = timedelta(days=1)
"""What is watched is forgotten two days after it was last said."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class WatchFlows:
    """Keeps, for the life of a process, which interfaces it saw and what it has said."""

    interfaces: Interfaces
    flows: FlowStore
    window: timedelta
    _seen: dict[ResourceRef, tuple[datetime, tuple[Interface, ...]]] = field(default_factory=dict)
    _said: dict[str, tuple[datetime, FlowWatch]] = field(default_factory=dict)

    def look(
        self, rules: Sequence[Rule], seen: Mapping[ResourceRef, ObservedResource], now: datetime
    ) -> dict[str, tuple[Interface, ...]]:
        """The interfaces of what runs of each rule that has flow logs as a source; has them watched.

        What cannot be looked up is left as it was, and proves nothing where it never was. Raises ThrottledError.
        """
        wanted = {rule.id: _running(rule, seen) for rule in rules if SourceKind.FLOW_LOGS in rule.spec.source_kinds}
        self._look_up({ref for refs in wanted.values() for ref in refs}, now)
        found: dict[str, tuple[Interface, ...]] = {}
        for rule in rules:
            if rule.id in wanted:
                found[rule.id] = tuple(one for ref in wanted[rule.id] for one in self._seen.get(ref, (now, ()))[1])
                self._say(rule, found[rule.id], now)
        return found

    def sources(
        self, interfaces: Sequence[Interface], proofs: Sequence[FlowProof], now: datetime
    ) -> tuple[Source, ...]:
        """One for each interface; without any, one that proves nothing."""
        from chalicelib.domain.flow_proof import source_of  # noqa: PLC0415  (few rules have flow logs)

        by_id = {proof.interface: proof for proof in proofs}
        names = [interface.id for interface in interfaces] or ["of no interface"]
        return tuple(source_of(by_id.get(name), name, self.window, now) for name in names)

    def _look_up(self, refs: set[ResourceRef], now: datetime) -> None:
        old = sorted(ref for ref in refs if ref not in self._seen or now - self._seen[ref][0] >= LOOKED_UP)
        by_place = defaultdict(list)
        for ref in old:
            by_place[ref.place].append(ref)
        for place, some in by_place.items():
            try:
                found = self.interfaces.of_instances(place, some)
            except CloudError as error:
                if error.retryable:
                    raise
                log.warning("interfaces could not be looked up", extra={"error": str(error)})
                continue
            self._seen |= {ref: (now, found.get(ref, ())) for ref in some}

    def _say(self, rule: Rule, interfaces: tuple[Interface, ...], now: datetime) -> None:
        if not interfaces:
            return  # nothing runs: what was said of it still holds when it does again
        from chalicelib.domain.flow_logs import FlowWatch  # noqa: PLC0415  (few rules have flow logs)

        ports = tuple(sorted({port for source in rule.spec.sources for port in source.ports}))
        watch = FlowWatch(rule.id, interfaces, ports, rule.spec.ignore.cidrs)
        said = self._said.get(rule.id)
        if said is None or said[1] != watch or now - said[0] >= SAID_AGAIN:
            self.flows.watch(watch)
            self._said[rule.id] = (now, watch)


def _running(rule: Rule, seen: Mapping[ResourceRef, ObservedResource]) -> tuple[ResourceRef, ...]:
    return tuple(ref for ref in rule.refs if ref in seen and seen[ref].state is ResourceState.RUNNING)
