"""Time and ids that tests hold in their hands."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


class VirtualClock:
    """A clock that moves only when it is told to; what was scheduled happens on the way, in order."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._order = count()
        self._scheduled: list[tuple[datetime, int, Callable[[], None]]] = []

    def now(self) -> datetime:
        return self._now

    def at(self, when: datetime, do: Callable[[], None]) -> None:
        """Schedule something; what lies in the past happens at the next move."""
        heapq.heappush(self._scheduled, (when, next(self._order), do))

    def next_at(self) -> datetime | None:
        """When the next scheduled thing happens, None while there is none."""
        return self._scheduled[0][0] if self._scheduled else None

    def advance(self, by: timedelta) -> None:
        """Move on, doing what was scheduled as its time comes."""
        target = self._now + by
        while self._scheduled and self._scheduled[0][0] <= target:
            when, _, do = heapq.heappop(self._scheduled)
            self._now = max(self._now, when)
            do()
        self._now = target


class SequentialIds:
    """Ids that tests can read: `ru_000001`."""

    def __init__(self) -> None:
        self._next = count(1)

    def new(self, prefix: str) -> str:
        return f"{prefix}_{next(self._next):06d}"

    def secret(self) -> str:
        return f"secret{next(self._next):040d}"
