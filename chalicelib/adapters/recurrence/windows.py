"""Recurrence rules expanded by dateutil, as far as one standing needs it.

A window of a rule begins at the wall time of an occurrence and ends at that wall time plus the duration, both as
`wall_time` defines boundaries: eight hours from 08:00 end at 16:00, also on the day on which the clocks change.
DTSTART is `starts` in the schedule's zone, or else 00:00 on the local date on which the schedule was created; it gives
the rule its phase and the parts of a time that it does not name, and is no occurrence unless the rule names it.

The work is bounded whatever the rule says. An occurrence is looked for ten years ahead. Windows that go on without a
break are followed for MOST_AHEAD occurrences: the standing then has a window without an end, and its `until` is as far
as it was followed, to be asked again there.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, cast

from dateutil import rrule as dateutil_rrule

from chalicelib.adapters.recurrence.rules import FREQUENCIES, MalformedRuleError, parse_rule
from chalicelib.domain.wall_time import Standing, Window, clipped, local, reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.adapters.recurrence.rules import RecurrenceRule
    from chalicelib.domain.schedules import Schedule
    from chalicelib.domain.wall_time import Stretch

HORIZON = timedelta(days=3653)
MOST_AHEAD = 500
CAPACITY = 4096
"""Schedules whose standing is kept."""

_LOOKS_BACK = (timedelta(days=2), timedelta(days=60))
"""How far back the beginning of a window is looked for; the further, only if it began at the nearer or before."""

_PERIODS = {
    "YEARLY": timedelta(days=366),
    "MONTHLY": timedelta(days=31),
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
}


@dataclass(frozen=True, slots=True)
class _Known:
    since: datetime
    standing: Standing


class DateutilRecurrences:
    """Recurrence rules by dateutil. A standing is computed once and kept until its next boundary."""

    def __init__(self) -> None:
        self._known: OrderedDict[Schedule, _Known] = OrderedDict()

    def fault(self, schedule: Schedule) -> str | None:
        try:
            rule = parse_rule(schedule.rrule or "")
            begin = _dtstart(schedule)
            found = next(_occurrences(rule, begin, begin), None)
        except MalformedRuleError as error:
            return str(error)
        except ValueError:  # dateutil's word for hours that an HOURLY rule never comes by
            found = None
        return "names no time in ten years from its beginning" if found is None else None

    def standing(self, schedule: Schedule, t: datetime) -> Standing:
        known = self._known.get(schedule)
        if known is None or t < known.since or (known.standing.until is not None and t >= known.standing.until):
            known = _Known(t, _standing(schedule, t))
            self._known[schedule] = known
            if len(self._known) > CAPACITY:
                self._known.popitem(last=False)
        return known.standing


def _standing(schedule: Schedule, t: datetime) -> Standing:
    rule = parse_rule(schedule.rrule or "")
    found = Standing(None, None)
    for back in _LOOKS_BACK:
        begin = local(t, schedule.time_zone) - back - (schedule.duration or timedelta(0))
        found = _stand(_stretches(schedule, rule, begin), t)
        # A day for what an offset may differ.
        oldest = t - back + timedelta(days=1)
        if found.window is None or found.window.start is None or found.window.start > oldest:
            return found
        if begin <= _dtstart(schedule):
            return found  # from the beginning: there was nothing before
    return Standing(Window(None, found.window.end if found.window else None), found.until)


def _stand(stretches: Iterator[Stretch], t: datetime) -> Standing:
    """The standing at `t` in stretches that come in order of both their starts and their ends."""
    current: Stretch | None = None
    ahead = 0
    for start, end in stretches:
        if current is not None and start > current[1] and current[1] > t:
            break
        if current is None or start > current[1]:
            if start > t:
                return Standing(None, start)
            current = (start, end)
        else:
            current = (current[0], end)
        ahead += start > t
        if ahead >= MOST_AHEAD:
            return Standing(Window(current[0], None), current[1])
    if current is None or current[1] <= t:
        return Standing(None, None)
    return Standing(Window(*current), current[1])


def _stretches(schedule: Schedule, rule: RecurrenceRule, begin: datetime) -> Iterator[Stretch]:
    """The windows whose occurrence is not before the wall time `begin`, one by one."""
    zone, duration = schedule.time_zone, schedule.duration or timedelta(0)
    last = rule.until if rule.until is not None and rule.until.tzinfo is not None else None
    for occurrence in _occurrences(rule, _dtstart(schedule), begin):
        if occurrence.date() in schedule.except_dates:
            continue
        start, end = reached(occurrence, zone), reached(occurrence + duration, zone)
        if (last is not None and start > last) or (schedule.until is not None and start >= schedule.until):
            return
        yield from (
            stretch for stretch in clipped([(start, end)], schedule.starts, schedule.until) if stretch[0] < stretch[1]
        )


def _dtstart(schedule: Schedule) -> datetime:
    if schedule.starts is not None:
        return local(schedule.starts, schedule.time_zone).replace(microsecond=0)
    return datetime.combine(local(schedule.created_at, schedule.time_zone).date(), time())


class _BarrenError(Exception):
    """A rule named nothing for as long as the horizon."""


class _Interval(int):
    """An INTERVAL that dateutil may take only `left` times more.

    dateutil goes on to the year 9999 for a rule that never matches (the 30th of February), UNTIL or not. It moves from
    period to period by adding the interval, or seven times the interval: that is where it can be stopped.
    """

    left: int

    def __radd__(self, other: int) -> int:
        self._take()
        return other + int(self)

    def __mul__(self, other: int) -> int:
        self._take()
        return int(self) * other

    def _take(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _BarrenError


def _occurrences(rule: RecurrenceRule, dtstart: datetime, begin: datetime) -> Iterator[datetime]:
    """The occurrences from the wall time `begin` on, in order, up to the horizon."""
    end = max(begin, dtstart) + HORIZON
    if rule.until is not None:
        # One in UTC is exact where windows are made; no zone is more than a day from it.
        local_until = rule.until if rule.until.tzinfo is None else rule.until.replace(tzinfo=None) + timedelta(days=1)
        end = min(end, local_until)
    interval = _Interval(rule.interval)
    interval.left = patience = HORIZON // _PERIODS[rule.frequency]
    try:
        for occurrence in _expanded(rule, interval, _moved_on(rule, dtstart, begin)):
            if occurrence > end:
                return
            interval.left = patience
            if occurrence >= begin:
                yield occurrence
    except _BarrenError:
        return


def _moved_on(rule: RecurrenceRule, dtstart: datetime, begin: datetime) -> datetime:
    """DTSTART moved by whole intervals to at least one before `begin`: the same occurrences from there on.

    One interval is left between, because dateutil takes the part of a week from DTSTART on for a whole (BYSETPOS).
    A COUNT counts from DTSTART, so there it stays.
    """
    if rule.count is not None:
        return dtstart
    if rule.frequency not in {"YEARLY", "MONTHLY"}:
        step = _PERIODS[rule.frequency] * rule.interval
        return dtstart + max((begin - dtstart) // step - 1, 0) * step
    months = rule.interval * (12 if rule.frequency == "YEARLY" else 1)
    most = ((begin.year - dtstart.year) * 12 + begin.month - dtstart.month) // months - 1
    for steps in range(most, 0, -1):
        years, month = divmod(dtstart.month - 1 + steps * months, 12)
        try:
            return dtstart.replace(year=dtstart.year + years, month=month + 1)
        except ValueError:  # no 31st, or no 29th of February: the interval before
            continue
    return dtstart


def _expanded(rule: RecurrenceRule, interval: int, dtstart: datetime) -> Iterator[datetime]:
    expanded = dateutil_rrule.rrule(
        FREQUENCIES.index(rule.frequency),
        dtstart=dtstart,
        interval=interval,
        count=rule.count,
        wkst=rule.week_start,
        byweekday=[dateutil_rrule.weekday(day, which or None) for day, which in rule.days] or None,
        **{name.lower(): numbers for name, numbers in rule.numbers.items()},
    )
    return cast("Iterator[datetime]", iter(expanded))
