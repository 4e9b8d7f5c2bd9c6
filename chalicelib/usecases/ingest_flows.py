"""A batch of flow-log records to activity and proof: who used which rule when, and which time is known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.domain.activity import Span
from chalicelib.domain.addresses import networks
from chalicelib.domain.flow_logs import Least, gather, index_of, moment, windows
from chalicelib.domain.flow_proof import KIND
from chalicelib.ports import LastActivity, Total

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from chalicelib.domain.flow_logs import FlowFormat, Flows, Watched
    from chalicelib.ports import ActivityStore, Clock, FlowStore

KNOWN_FOR = timedelta(seconds=60)
"""For how long it is believed what is watched."""

MINUTE = "%Y-%m-%dT%H:%M"


@dataclass(slots=True)
class FlowReport:
    """What became of a batch. `foreign`: of interfaces that no rule has."""

    records: int = 0
    malformed: int = 0
    foreign: int = 0
    used: int = 0
    proved: int = 0


@dataclass(slots=True)
class IngestFlows:
    """What the `flow_logs` function does with the records of one payload. `window`: the flow logs' own interval."""

    activity: ActivityStore
    flows: FlowStore
    clock: Clock
    layout: FlowFormat
    window: timedelta
    least: Least
    _index: dict[str, Watched] = field(default_factory=dict)
    _read_at: datetime | None = None

    def run(self, stream: str, events: Sequence[object]) -> FlowReport:
        """Store what was used first, and only then what the records prove. Raises CloudError, ThrottledError.

        The same batch again changes nothing: its uses are totals of their own, by its log stream and first event.
        """
        now = self.clock.now()
        found = gather(_messages(events), self.layout, self._watched(now), self.least)
        report = FlowReport(len(events), found.malformed, found.foreign)
        if found.used:
            self._store(found, f"{KIND} {stream[:80]} {_id(events)}", now, report)
        for interface in found.proved.keys() | found.skipped.keys():
            watched = self._index[interface]
            proved, skipped = _spans(found.proved, watched, now), _spans(found.skipped, watched, now)
            if proved or skipped:
                self.flows.prove(watched.rule_id, watched.id, proved, skipped, self.window)
                report.proved += 1
        return report

    def _watched(self, now: datetime) -> dict[str, Watched]:
        if self._read_at is None or now - self._read_at >= KNOWN_FOR:
            watches = self.flows.watches()
            self._index = index_of(watches, {watch.rule_id: networks(watch.ignored) for watch in watches})
            self._read_at = now
        return self._index

    def _store(self, found: Flows, source: str, now: datetime, report: FlowReport) -> None:
        last: dict[tuple[str, str], datetime] = {}
        totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        for (rule_id, interface, second), (flows, _, octets) in found.used.items():
            at = moment(second, now)
            if at is None:
                report.malformed += flows
                continue
            report.used += flows
            key = (rule_id, interface)
            last[key] = max(last.get(key, at), at)
            sums = totals[rule_id, at.strftime(MINUTE)]
            sums[0] += flows
            sums[1] += octets
        for (rule_id, interface), at in last.items():
            self.activity.seen(rule_id, LastActivity(f"{KIND} {interface}", at))
        self.activity.add_totals(
            [
                Total(rule_id, minute, source, connections=flows, bytes_in=octets)
                for (rule_id, minute), (flows, octets) in totals.items()
            ]
        )


def _messages(events: Sequence[Any]) -> Sequence[object]:
    try:
        return [event["message"] for event in events]
    except (TypeError, KeyError, IndexError):
        return [event.get("message") if isinstance(event, dict) else None for event in events]


def _id(events: Sequence[object]) -> str:
    first = events[0]
    return str(first.get("id"))[:80] if isinstance(first, dict) else ""


def _spans(written: dict[str, dict[str, str]], watched: Watched, now: datetime) -> list[Span]:
    return [Span(start, end) for start, end in windows(written.get(watched.id, {}), now)]
