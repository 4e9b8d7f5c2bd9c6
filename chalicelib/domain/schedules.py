"""Schedules: when a rule is up or down by the clock. "What holds at t" and "until when", so nothing can be missed.

Wall-clock times become instants as `wall_time` defines it. A schedule is the union of its windows: what overlaps or
touches is one window, without a boundary in it. `decide` runs for every rule and tick, so each week of a schedule is
worked out once, into a table of its boundaries, and a verdict is a search in it. A recurrence rule (RFC 5545) needs a
library: it enters as the `Standing` that an adapter computed (`Recurrences`), and costs nothing here.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import chain, pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from chalicelib.domain.decisions import Desired
from chalicelib.domain.errors import Fault
from chalicelib.domain.wall_time import Standing, Window, clipped, is_zone, union, weekly_stretches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from chalicelib.domain.wall_time import WeeklyWindow

LOWEST_PRIORITY = 100
LONGEST_DURATION = timedelta(days=7)
MAX_WEEKLY = 50
MAX_EXCEPT_DATES = 366
YEARS = range(1970, 2200)
"""The years a schedule may name."""

_REPEATS = 3
"""Weeks in which a weekly pattern shows a boundary if it has any: one may begin with it, one may lose it to a gap."""

_NEVER = Standing(None, None)
_NONE_RECURS: Mapping[str, Standing] = MappingProxyType({})


class ScheduleKind(StrEnum):
    """What the windows of a schedule are for."""

    UPTIME = "uptime"
    DOWNTIME = "downtime"

    @property
    def desired(self) -> Desired:
        """What a rule should be in such a window."""
        return Desired.UP if self is ScheduleKind.UPTIME else Desired.DOWN


@dataclass(frozen=True, slots=True)
class Schedule:
    """Windows of one kind. Of `weekly` and `rrule` it has one; without either, `starts` to `until` is its only window.

    `priority`: 1 is the highest. `starts` (the API's `from`) and `until` clip every window. No window begins on a local
    date in `except_dates`. `duration` is how long a window of `rrule` lasts, on the wall clock.
    """

    id: str
    name: str
    kind: ScheduleKind
    time_zone: str
    version: int
    created_at: datetime
    updated_at: datetime
    priority: int = 1
    weekly: tuple[WeeklyWindow, ...] = ()
    rrule: str | None = None
    duration: timedelta | None = None
    starts: datetime | None = None
    until: datetime | None = None
    except_dates: tuple[date, ...] = ()

    def __hash__(self) -> int:
        # Tables are cached by schedule, in the hot path: hashing every field would cost more than the search.
        return hash((self.id, self.version))


class Recurrences(Protocol):
    """What understands recurrence rules."""

    def fault(self, schedule: Schedule) -> str | None:
        """What is wrong with its rule, in words; None if it can be used. Its zone and its beginning are right."""

    def standing(self, schedule: Schedule, t: datetime) -> Standing:
        """How a schedule with a rule stands at `t`; the rule is one that `fault` accepts."""


@dataclass(frozen=True, slots=True)
class ScheduleVerdict:
    """What the schedules of a rule say at some instant.

    `schedule` is the one that wins and `window` its window, None when none is in a window. `until` is the next boundary
    of any of them, at which the verdict could change; None for never.
    """

    schedule: Schedule | None
    window: Window | None
    until: datetime | None

    @property
    def desired(self) -> Desired | None:
        """What the rule should be; None when no schedule has a say."""
        return self.schedule.kind.desired if self.schedule else None


@dataclass(frozen=True, slots=True)
class PlannedSpan:
    """A stretch [start, end) of a preview; without a kind, no schedule has a say in it."""

    start: datetime
    end: datetime
    kind: ScheduleKind | None
    schedule_id: str | None


def standing(schedule: Schedule, t: datetime) -> Standing:
    """How a schedule without a recurrence rule stands at `t`."""
    if schedule.weekly:
        at = t if t.tzinfo is UTC else t.astimezone(UTC)
        week = _week(schedule, at.toordinal() // 7)
        return week.standings[bisect_right(week.boundaries, at)]
    starts, until = schedule.starts, schedule.until
    if starts is None or until is None or t >= until:
        return _NEVER
    return Standing(None, starts) if t < starts else Standing(Window(starts, until), until)


def recurring(schedules: Sequence[Schedule], t: datetime, recurrences: Recurrences) -> dict[str, Standing]:
    """The standings at `t` that `verdict` needs from outside, by schedule id."""
    return {schedule.id: recurrences.standing(schedule, t) for schedule in schedules if schedule.rrule is not None}


def verdict(
    schedules: Sequence[Schedule], t: datetime, recurring: Mapping[str, Standing] = _NONE_RECURS
) -> ScheduleVerdict:
    """What the schedules say at `t`: of those in a window, the highest priority wins, and of equals downtime.

    `recurring` has the standing at `t` of each schedule with a recurrence rule. Raises ValueError for one that is over.
    """
    winner: Schedule | None = None
    window: Window | None = None
    until: datetime | None = None
    for schedule in schedules:
        now = standing(schedule, t) if schedule.rrule is None else recurring[schedule.id]
        if now.until is not None and (until is None or now.until < until):
            until = now.until
        if now.window is not None and (winner is None or _rank(schedule) < _rank(winner)):
            winner, window = schedule, now.window
    if until is not None and until <= t:
        raise ValueError(f"a standing that held until {until} is asked at {t}")
    return ScheduleVerdict(winner, window, until)


def _rank(schedule: Schedule) -> tuple[int, bool, str]:
    return schedule.priority, schedule.kind is ScheduleKind.UPTIME, schedule.id


def rests_outside(schedules: Sequence[Schedule]) -> Desired:
    """What a rule without any traffic source should be outside all windows.

    Uptime windows say when it is needed, so it rests outside them, even when the last of them is over. Where there are
    only downtime windows, or no schedule at all, nothing says that it may rest.
    """
    return Desired.DOWN if any(schedule.kind is ScheduleKind.UPTIME for schedule in schedules) else Desired.UP


def preview(
    schedules: Sequence[Schedule], t: datetime, recurrences: Recurrences, days: int = 7
) -> tuple[PlannedSpan, ...]:
    """The verdicts of the next `days` times 24 hours, in order and without a gap."""
    end = t + timedelta(days=days)
    spans: list[PlannedSpan] = []
    while t < end:
        now = verdict(schedules, t, recurring(schedules, t, recurrences))
        until = min(now.until or end, end)
        says = (now.schedule.kind, now.schedule.id) if now.schedule else (None, None)
        if spans and (spans[-1].kind, spans[-1].schedule_id) == says:
            spans[-1] = PlannedSpan(spans[-1].start, until, *says)
        else:
            spans.append(PlannedSpan(t, until, *says))
        t = until
    return tuple(spans)


# Weeks of a weekly schedule: week n is the seven days of UTC whose first has the ordinal 7 n.


@dataclass(frozen=True, slots=True)
class _Week:
    """`standings[i]` holds from `boundaries[i - 1]` up to `boundaries[i]`; one more than there are boundaries."""

    boundaries: tuple[datetime, ...]
    standings: tuple[Standing, ...]


@lru_cache(maxsize=4096)
def _week(schedule: Schedule, week: int) -> _Week:
    boundaries, inside = _boundaries(schedule, week)
    special = _special(schedule)
    before = chain(range(week - 1, week - 1 - _REPEATS, -1), (other for other in reversed(special) if other < week))
    after = chain(range(week + 1, week + 1 + _REPEATS), (other for other in special if other > week))
    line = (_nearest(schedule, before, -1), *boundaries, _nearest(schedule, after, 0))
    standings = []
    for start, end in pairwise(line):
        standings.append(Standing(Window(start, end) if inside else None, end))
        inside = not inside
    return _Week(boundaries, tuple(standings))


@lru_cache(maxsize=4096)
def _boundaries(schedule: Schedule, week: int) -> tuple[tuple[datetime, ...], bool]:
    """The boundaries in one week, and whether the time before the first of them is in a window."""
    begin = datetime.fromordinal(week * 7).replace(tzinfo=UTC)
    end = begin + timedelta(days=7)
    # Local dates are up to a day off, a repeated day is another, and a window reaches into the day after it began.
    days = range(week * 7 - 3, week * 7 + 10)
    all_of_them = weekly_stretches(schedule.weekly, schedule.time_zone, days, schedule.except_dates)
    windows = union(clipped(all_of_them, schedule.starts, schedule.until))
    boundaries = tuple(t for t in chain.from_iterable(windows) if begin <= t < end)
    first = boundaries[0] if boundaries else begin
    return boundaries, any(start < first <= stop for start, stop in windows)


def _nearest(schedule: Schedule, weeks: Iterable[int], index: int) -> datetime | None:
    """The first or last boundary in the first of these weeks that has any."""
    for week in weeks:
        boundaries, _ = _boundaries(schedule, week)
        if boundaries:
            return boundaries[index]
    return None


@lru_cache(maxsize=1024)
def _special(schedule: Schedule) -> tuple[int, ...]:
    """The weeks around all that breaks the weekly pattern. Elsewhere each week has the boundaries of its neighbours."""
    breaks = [t for t in (schedule.starts, schedule.until) if t is not None]
    ordinals = [day.toordinal() for day in (*breaks, *schedule.except_dates)]
    return tuple(sorted({day // 7 + off for day in ordinals for off in range(-_REPEATS, _REPEATS + 1)}))


# What may be stored


def faults(schedule: Schedule, recurrences: Recurrences) -> tuple[Fault, ...]:
    """Everything that is wrong with a schedule, by the field names of the API."""
    found = [*_window_faults(schedule), *_clip_faults(schedule)]
    if not is_zone(schedule.time_zone):
        found.append(Fault("time_zone", "is not an IANA time zone such as Europe/Berlin"))
    if not 1 <= schedule.priority <= LOWEST_PRIORITY:
        found.append(Fault("priority", f"is not a number from 1 to {LOWEST_PRIORITY}"))
    if schedule.rrule is not None and not any(fault.field in {"time_zone", "from"} for fault in found):
        wrong = recurrences.fault(schedule)  # it tries the rule out, in its zone and from its beginning
        found += [Fault("rrule", wrong)] if wrong else []
    return tuple(found)


def _window_faults(schedule: Schedule) -> Iterator[Fault]:
    if schedule.weekly and schedule.rrule is not None:
        yield Fault("rrule", "cannot be used together with weekly")
    if len(schedule.weekly) > MAX_WEEKLY:
        yield Fault("weekly", f"has more than {MAX_WEEKLY} windows")
    for index, window in enumerate(schedule.weekly[:MAX_WEEKLY]):
        yield from window.faults(f"weekly[{index}]")
    if schedule.rrule is None:
        if schedule.duration is not None:
            yield Fault("duration_minutes", "is for schedules with an rrule only")
    elif schedule.duration is None:
        yield Fault("duration_minutes", "is needed with an rrule")
    elif not timedelta(0) < schedule.duration <= LONGEST_DURATION:
        yield Fault("duration_minutes", f"is not from 1 to {LONGEST_DURATION // timedelta(minutes=1)}")


def _clip_faults(schedule: Schedule) -> Iterator[Fault]:
    starts, until = schedule.starts, schedule.until
    once = not schedule.weekly and schedule.rrule is None
    for field, t in (("from", starts), ("until", until)):
        if t is None and once:
            yield Fault(field, "is needed in a schedule without weekly and rrule")
        if t is not None and t.year not in YEARS:
            yield Fault(field, f"is not in the years {YEARS[0]} to {YEARS[-1]}")
    if starts is not None and until is not None and starts >= until:
        yield Fault("until", "is not later than from")
    if once and schedule.except_dates:
        yield Fault("except_dates", "is for schedules with weekly or rrule only")
    if len(schedule.except_dates) > MAX_EXCEPT_DATES:
        yield Fault("except_dates", f"has more than {MAX_EXCEPT_DATES} dates")
    for index, day in enumerate(schedule.except_dates[:MAX_EXCEPT_DATES]):
        if day in schedule.except_dates[:index]:
            yield Fault(f"except_dates[{index}]", "has the same value twice")
        if day.year not in YEARS:
            yield Fault(f"except_dates[{index}]", f"is not in the years {YEARS[0]} to {YEARS[-1]}")
