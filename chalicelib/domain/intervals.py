"""Stretches of time and what can be counted of them. Half-open, in UTC, to the microsecond: nothing is rounded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

Stretch: TypeAlias = tuple[datetime, datetime]
"""[start, end), both aware. What ends before it starts, or with it, is no time at all."""


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day of some zone, or the part of it that is counted: 23 or 25 hours where the clocks change."""

    date: date
    start: datetime
    end: datetime


def utc(at: datetime) -> datetime:
    """The same moment in UTC. In one zone Python subtracts wall clocks, which lie when those are changed."""
    if at.tzinfo is None:
        msg = f"{at.isoformat()} does not say in which zone it is"
        raise ValueError(msg)
    return at.astimezone(UTC)


def merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same time in order, each moment once: what overlaps or touches is one stretch."""
    found: list[Stretch] = []
    for start, end in sorted((utc(start), utc(end)) for start, end in stretches):
        if end <= start:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def common(some: Sequence[Stretch], others: Sequence[Stretch]) -> list[Stretch]:
    """The time that is in both; each has to be merged."""
    found: list[Stretch] = []
    i = j = 0
    while i < len(some) and j < len(others):
        start = max(some[i][0], others[j][0])
        end = min(some[i][1], others[j][1])
        if start < end:
            found.append((start, end))
        if some[i][1] <= others[j][1]:
            i += 1
        else:
            j += 1
    return found


def without(some: Sequence[Stretch], others: Sequence[Stretch]) -> list[Stretch]:
    """The time of `some` that is not in `others`; each has to be merged."""
    if not some:
        return []
    edges = [some[0][0], *(edge for stretch in others for edge in stretch), some[-1][1]]
    gaps = [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]
    return common(some, gaps)


def days_of(start: datetime, end: datetime, zone: tzinfo) -> tuple[Day, ...]:
    """[start, end) cut at the midnights of a zone. A day that the zone skipped (Apia, 2011-12-30) is not among them."""
    cursor, end = utc(start), utc(end)
    day = cursor.astimezone(zone).date()
    found: list[Day] = []
    while cursor < end:
        midnight = datetime.combine(day + timedelta(days=1), time(), zone)
        until = min(end, max(cursor, utc(midnight)))
        if cursor < until:
            found.append(Day(day, cursor, until))
        cursor = until
        day += timedelta(days=1)
    return tuple(found)


def by_day(stretches: Sequence[Stretch], days: Sequence[Day]) -> list[timedelta]:
    """How much of each day they cover; the stretches have to be merged, the days in order."""
    found = [timedelta() for _ in days]
    first = 0
    for start, end in stretches:
        while first < len(days) and days[first].end <= start:
            first += 1
        for n in range(first, len(days)):
            if days[n].start >= end:
                break
            found[n] += min(end, days[n].end) - max(start, days[n].start)
    return found
