"""Metrics and sessions in memory, on the virtual clock: quiet until told otherwise, and unknown on request."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.guards import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.adapters.memory.clock import VirtualClock
    from chalicelib.domain.errors import CloudError
    from chalicelib.domain.resources import ResourceRef
    from chalicelib.ports import Series

PERIOD = timedelta(minutes=5)
BATCH = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Stretch:
    """A value from some time on, None for points that are missing."""

    since: datetime
    value: float | None


class FakeMetrics:
    """Implements Metrics: a point for each whole five minutes, as basic monitoring has them."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._told: dict[Series, list[_Stretch]] = defaultdict(list)
        self.calls = 0
        self.asked = 0
        self.fail_next: deque[CloudError] = deque()

    def put(self, series: Series, value: float | None) -> None:
        """From now on it has this value; with None its points are missing."""
        self._told[series].append(_Stretch(self._clock.now(), value))

    def read(self, series: Sequence[Series], start: datetime, end: datetime) -> dict[Series, tuple[Sample, ...]]:
        wanted = dict.fromkeys(series)
        regions = Counter(each.ref.region for each in wanted)
        self.calls += sum(-(-count // BATCH) for count in regions.values())
        self.asked += len(wanted)
        if self.fail_next:
            raise self.fail_next.popleft()
        return {each: tuple(self._points(each, start, end)) for each in series}

    def _points(self, series: Series, start: datetime, end: datetime) -> list[Sample]:
        first = start + (_EPOCH - start) % PERIOD
        whole = int((min(end, self._clock.now()) - first) / PERIOD)
        points = []
        for n in range(max(whole, 0)):
            at = first + n * PERIOD
            values = self._values(series, at, at + PERIOD)
            if None not in values:
                points.append(Sample(at, PERIOD, max(value for value in values if value is not None)))
        return points

    def _values(self, series: Series, start: datetime, end: datetime) -> list[float | None]:
        """What it was at the start of a period, and every value that it took within."""
        before = [told.value for told in self._told[series] if told.since <= start]
        within = [told.value for told in self._told[series] if start < told.since < end]
        return [*(before[-1:] or [0.0]), *within]


@dataclass(slots=True)
class FakeSessions:
    """Implements Sessions: as many are open as `counts` says."""

    counts: Counter[ResourceRef] = field(default_factory=Counter)
    calls: int = 0
    fail_next: deque[CloudError] = field(default_factory=deque)

    def open(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, int]:
        self.calls += len({ref.region for ref in refs})
        if self.fail_next:
            raise self.fail_next.popleft()
        return {ref: self.counts[ref] for ref in refs}
