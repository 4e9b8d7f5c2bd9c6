"""Local wall-clock time: what a person writes as 08:00, as an instant in UTC. One definition, for everything.

**The boundary at wall time W on date D is the earliest instant at which the local clock shows W on D, or later.**

What follows from it:

- A time that occurs twice (clocks go back) is its first occurrence. In the repeated hour nothing happens again.
- A time that does not occur (clocks go forward) is the instant of the transition, at which the clock passes it.
- A window that lies wholly in such a gap, or on a day that a zone skips (Pacific/Apia, 2011-12-30), is empty.
- 24:00 on a date is 00:00 on the next, so all-day windows of consecutive days touch: no second lies between them.
- Hours are as long as the clock makes them: 00:00 to 24:00 lasts 23 or 25 hours where the clock is changed by one.

Wall times here are naive datetimes in whole seconds; instants are aware, in UTC. Zones come from the IANA database by
`zoneinfo`, whose transitions are whole seconds too.
"""

from __future__ import annotations

import zoneinfo
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from chalicelib.domain.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DAY = 86_400
"""Seconds of a day on the wall clock: as the end of a window it is 24:00."""

_NO_PLACES = frozenset({"Factory", "localtime", "posixrules"})
"""What systems keep beside the zones: it is not in the database, or means whatever the machine is set to."""

Stretch = tuple[datetime, datetime]
"""A stretch of time [start, end), instants in UTC."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window [start, end), instants; None where it has no beginning or no end, or none that is in sight."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How windows stand at some instant: the one it is in, and the next boundary after that instant, None for never."""

    window: Window | None
    until: datetime | None


class Weekday(StrEnum):
    """A day of the week, as the API writes it; in the order of `date.weekday()`."""

    MON = "MON"
    TUE = "TUE"
    WED = "WED"
    THU = "THU"
    FRI = "FRI"
    SAT = "SAT"
    SUN = "SUN"


_DAYS = tuple(Weekday)


@dataclass(frozen=True, slots=True)
class WeeklyWindow:
    """A window that begins on each of `days`; `start` and `end` are seconds of the day on the wall clock.

    `start` is 0 to 86399, `end` 0 to 86400 (24:00). An `end` at or before `start` is on the next day.
    """

    days: tuple[Weekday, ...]
    start: int
    end: int

    def faults(self, field: str) -> Iterator[Fault]:
        """Everything that is wrong with it; `field` is its own name, as in `weekly[0]`."""
        if not self.days:
            yield Fault(f"{field}.days", "names no day")
        if len(set(self.days)) != len(self.days):
            yield Fault(f"{field}.days", "has the same value twice")
        if not 0 <= self.start < DAY:
            yield Fault(f"{field}.start", "is not a time of day from 00:00 to 23:59")
        if not 0 <= self.end <= DAY:
            yield Fault(f"{field}.end", "is not a time of day from 00:00 to 24:00")
        elif self.start == self.end:
            yield Fault(f"{field}.end", "is the same as start; all day is 00:00 to 24:00")


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - _NO_PLACES


def is_zone(name: str) -> bool:
    """Whether it is an IANA time zone.

    The name is only looked up in the list of what there is: a hostile one never becomes a path of the file system.
    """
    return name in _zones()


@lru_cache(maxsize=640)
def _zone(name: str) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(name)


def local(t: datetime, zone: str) -> datetime:
    """What the local clock shows at an instant."""
    return t.astimezone(_zone(zone)).replace(tzinfo=None, fold=0)


@lru_cache(maxsize=8192)
def reached(wall: datetime, zone: str) -> datetime:
    """The earliest instant at which the local clock shows `wall`, or more."""
    tz = _zone(zone)
    first = wall.replace(tzinfo=tz, fold=0).astimezone(UTC)
    if local(first, zone) == wall:
        return first
    # In a gap PEP 495 reads the time once by either offset, and so lands on both sides of the transition.
    before = wall.replace(tzinfo=tz, fold=1).astimezone(UTC)
    seconds = range(int((first - before).total_seconds()))
    passed = bisect_left(seconds, wall, key=lambda second: local(before + timedelta(seconds=second), zone))
    return before + timedelta(seconds=passed)


@lru_cache(maxsize=1024)
def _by_weekday(weekly: tuple[WeeklyWindow, ...]) -> tuple[tuple[tuple[int, int], ...], ...]:
    """For each day of the week the windows that begin on it, in seconds from its 00:00."""
    table: list[list[tuple[int, int]]] = [[] for _ in _DAYS]
    for window in weekly:
        end = window.end if window.end > window.start else window.end + DAY
        for day in window.days:
            table[_DAYS.index(day)].append((window.start, end))
    return tuple(tuple(row) for row in table)


def weekly_stretches(
    weekly: tuple[WeeklyWindow, ...], zone: str, days: range, except_dates: tuple[date, ...]
) -> Iterator[Stretch]:
    """The windows that begin on local dates in `days` (proleptic ordinals), one by one; none begins on an exception."""
    table = _by_weekday(weekly)
    for day in days:
        midnight = datetime.fromordinal(day)
        if midnight.date() in except_dates:
            continue
        for start, end in table[midnight.weekday()]:
            yield (
                reached(midnight + timedelta(seconds=start), zone),
                reached(midnight + timedelta(seconds=end), zone),
            )


def union(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same time in as few stretches as can be, in order: what overlaps or touches is one, what is empty is gone."""
    merged: list[Stretch] = []
    for start, end in sorted(stretches):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def clipped(stretches: Iterable[Stretch], starts: datetime | None, until: datetime | None) -> Iterator[Stretch]:
    """What of them is not before `starts` and not after `until`; what is wholly outside comes out empty or reversed."""
    for start, end in stretches:
        yield start if starts is None else max(start, starts), end if until is None else min(end, until)
