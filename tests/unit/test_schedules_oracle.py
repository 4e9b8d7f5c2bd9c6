"""Schedules against an oracle that knows no boundaries: it watches a local clock, instant by instant.

The oracle walks through UTC, reads the local clock at each instant, and remembers the furthest time that it has shown.
A window is on while that furthest time lies in it: its beginning was shown, its end not yet.
"""

# ruff: noqa: DTZ001 - a wall time has no zone

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.adapters.recurrence.windows import DateutilRecurrences
from chalicelib.domain.schedules import Schedule, ScheduleKind, standing
from chalicelib.domain.wall_time import DAY, Weekday, WeeklyWindow, local, reached

DAYS = tuple(Weekday)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
CREATED = datetime(2026, 1, 1, 12, tzinfo=UTC)

CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2012, 3, 31, 14, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 9, 24, 14, tzinfo=UTC)),
]
"""Zones and the instants at which their clocks are changed; Kolkata's never are."""


def weekly(zone: str, *windows: WeeklyWindow, **more: object) -> Schedule:
    return Schedule("sc_1", "x", ScheduleKind.UPTIME, zone, 1, CREATED, CREATED, weekly=windows, **more)


@lru_cache
def clock(zone: str, begin: datetime, end: datetime, step: timedelta) -> list[tuple[datetime, datetime]]:
    """Each instant with the furthest time that the local clock has shown up to it."""
    shown, furthest, tz = [], datetime(1, 1, 1), ZoneInfo(zone)
    t = begin - timedelta(days=2)
    while t < end:
        furthest = max(furthest, t.astimezone(tz).replace(tzinfo=None))
        if t >= begin:
            shown.append((t, furthest))
        t += step if t >= begin else MINUTE
    return shown


def is_on(schedule: Schedule, t: datetime, furthest: datetime) -> bool:
    if (schedule.starts and t < schedule.starts) or (schedule.until and t >= schedule.until):
        return False
    midnight = datetime.combine(furthest.date(), time())
    seconds = (furthest - midnight).total_seconds()
    for ago in (0, 1):
        day = furthest.date() - timedelta(days=ago)
        if day in schedule.except_dates:
            continue
        for window in schedule.weekly:
            if DAYS[day.weekday()] in window.days:
                length = window.end - window.start + (DAY if window.end <= window.start else 0)
                if 0 <= seconds + ago * DAY - window.start < length:
                    return True
    return False


def check(schedule: Schedule, shown: list[tuple[datetime, datetime]]) -> None:
    """Every instant has the right state, window and next boundary, as far as the walk can see."""
    states = [is_on(schedule, t, furthest) for t, furthest in shown]
    changes = [t for (t, _), (before, after) in zip(shown[1:], pairwise(states), strict=True) if before != after]
    passed = 0
    for (t, _), state in zip(shown, states, strict=True):
        while passed < len(changes) and changes[passed] <= t:
            passed += 1
        now = standing(schedule, t)
        assert (now.window is not None) == state, t
        if passed < len(changes):
            assert now.until == changes[passed], t
        else:
            assert now.until is None or now.until > shown[-1][0], t
        if now.window is not None:
            assert now.window.end == now.until
            if passed:
                assert now.window.start == changes[passed - 1], t
            else:
                assert now.window.start is None or now.window.start <= shown[0][0]


IN_GAPS_AND_FOLDS = [
    WeeklyWindow(DAYS, 0, DAY),
    WeeklyWindow(DAYS, 8 * 3600, 18 * 3600),
    WeeklyWindow(DAYS, 22 * 3600, 6 * 3600),
    WeeklyWindow(DAYS, 7800, 9000),  # 02:10 to 02:30: inside
    WeeklyWindow(DAYS, 8100, 6300),  # 02:15 to 01:45: begins inside, ends a day later outside
    WeeklyWindow(DAYS, 5400, 8100),  # 01:30 to 02:15: ends inside
    WeeklyWindow(DAYS, 5400, 12600),  # 01:30 to 03:30: around it
    WeeklyWindow((Weekday.FRI,), 0, DAY),  # the day that Apia skipped
    WeeklyWindow((Weekday.FRI,), 22 * 3600, 6 * 3600),
    WeeklyWindow((Weekday.SUN,), 3600, 7200),
    WeeklyWindow((Weekday.SAT, Weekday.SUN), 0, DAY),
]


@pytest.mark.parametrize("window", IN_GAPS_AND_FOLDS, ids=lambda w: f"{'+'.join(w.days)}-{w.start}-{w.end}")
@pytest.mark.parametrize(("zone", "change"), CHANGES, ids=lambda v: f"{v:%Y-%m-%d}" if isinstance(v, datetime) else v)
def test_a_window_is_on_exactly_while_the_clock_is_in_it(zone: str, change: datetime, window: WeeklyWindow) -> None:
    shown = clock(zone, change - timedelta(days=1, hours=2), change + timedelta(days=1, hours=2), MINUTE)
    check(weekly(zone, window), shown)


SECONDS = st.integers(0, DAY - 1)
NEAR_THE_CHANGE = st.integers(3600 - 2, 4 * 3600)
MINUTES = st.integers(0, 24 * 60 - 1).map(lambda minute: minute * 60)


@st.composite
def windows(draw: st.DrawFn, times: st.SearchStrategy[int]) -> WeeklyWindow:
    days = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True))
    start = draw(times)
    end = draw(times.filter(lambda end: end != start) | st.just(DAY))
    return WeeklyWindow(tuple(days), start, end)


@given(st.sampled_from(CHANGES), st.lists(windows(NEAR_THE_CHANGE | SECONDS), min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_to_the_second_around_a_change(where: tuple[str, datetime], windows: list[WeeklyWindow]) -> None:
    zone, change = where
    shown = clock(zone, change - timedelta(minutes=70), change + timedelta(minutes=70), SECOND)
    check(weekly(zone, *windows), shown)


@given(
    st.sampled_from(CHANGES),
    st.lists(windows(MINUTES), min_size=1, max_size=3),
    st.lists(st.integers(-3, 3), max_size=3, unique=True),
    st.none() | st.integers(-5000, 0),
    st.none() | st.integers(1, 5000),
)
@settings(max_examples=60, deadline=None)
def test_with_exceptions_and_clipped(
    where: tuple[str, datetime], windows: list[WeeklyWindow], off: list[int], starts: int | None, until: int | None
) -> None:
    zone, change = where
    schedule = weekly(
        zone,
        *windows,
        except_dates=tuple(change.date() + timedelta(days=days) for days in off),
        starts=None if starts is None else change + starts * MINUTE,
        until=None if until is None else change + until * MINUTE,
    )
    check(schedule, clock(zone, change - timedelta(days=3), change + timedelta(days=3), MINUTE))


ZONES = [
    *("Africa/Casablanca", "Antarctica/Troll", "America/Caracas", "Asia/Pyongyang", "Asia/Kathmandu"),
    *("Pacific/Chatham", "Pacific/Kiritimati", "Europe/Dublin", "America/St_Johns"),
    *sorted({zone for zone, _ in CHANGES}),
]


@given(st.sampled_from(ZONES), st.datetimes(datetime(1985, 1, 1), datetime(2080, 1, 1)))
@example("Pacific/Apia", datetime(2011, 12, 30, 13))
@example("Europe/Berlin", datetime(2026, 3, 29, 2, 30))
@example("Europe/Berlin", datetime(2026, 10, 25, 2, 30))
def test_a_boundary_is_the_first_instant_at_which_the_clock_has_come_so_far(zone: str, wall: datetime) -> None:
    wall = wall.replace(microsecond=0)
    boundary = reached(wall, zone)
    assert local(boundary, zone) >= wall
    earlier = [boundary - SECOND, *(boundary - n * 5 * MINUTE for n in range(1, 26 * 12))]
    assert all(local(t, zone) < wall for t in earlier)


RULES = [
    "FREQ=DAILY;INTERVAL=3;BYHOUR=8;BYMINUTE=0",
    "FREQ=DAILY;BYMONTH=1,3,10;BYHOUR=2;BYMINUTE=30",
    "FREQ=HOURLY;INTERVAL=7",
    "FREQ=HOURLY;INTERVAL=5;BYHOUR=3,8,13;BYDAY=MO,WE",
    "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=SU,TU,SA",
    "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=4",
    "FREQ=MONTHLY;BYDAY=1MO",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    "FREQ=MONTHLY;INTERVAL=2",
    "FREQ=YEARLY",
    "FREQ=YEARLY;BYWEEKNO=20,53;BYDAY=MO",
    "FREQ=YEARLY;INTERVAL=3;BYYEARDAY=1,100,-1",
    "FREQ=DAILY;COUNT=300",
    "FREQ=WEEKLY;UNTIL=20280101T120000",
]


@given(
    st.sampled_from(RULES),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.sampled_from([datetime(2026, 1, 31, 9, 30), datetime(2024, 2, 29), datetime(2025, 12, 30, 23, 15)]),
    st.integers(1, 7 * 24 * 60),
    st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)),
)
@example(
    "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=4",
    "Asia/Kolkata",
    datetime(2025, 12, 30, 23, 15),
    60,
    datetime(2026, 2, 13, 18),
)  # the fourth from Tuesday on is not the fourth of the week
@example("FREQ=DAILY;COUNT=300", "Asia/Kolkata", datetime(2026, 1, 31, 9, 30), 24 * 60, datetime(2026, 3, 1))
@settings(max_examples=150, deadline=None)
def test_a_recurrence_stands_as_the_whole_list_of_its_occurrences_says(
    rule: str, zone: str, start: datetime, minutes: int, t: datetime
) -> None:
    """The list is dateutil's from the very beginning; the adapter starts near `t` and merges as it goes."""
    duration, t = timedelta(minutes=minutes), t.replace(microsecond=0, tzinfo=UTC)
    schedule = Schedule(
        "sc_1", "x", ScheduleKind.UPTIME, zone, 1, CREATED, CREATED,
        rrule=rule, duration=duration, starts=start.replace(tzinfo=ZoneInfo(zone)), except_dates=(date(2026, 3, 2),),
    )  # fmt: skip
    years = 9 if "YEARLY" in rule else 5  # from a 29th of February to the next but one; 500 times every third day
    merged: list[tuple[datetime, datetime]] = []
    for occurrence in rrulestr(rule, dtstart=start):
        if occurrence > t.replace(tzinfo=None) + timedelta(days=years * 366):
            break
        begin, end = reached(occurrence, zone), reached(occurrence + duration, zone)
        if occurrence.date() == date(2026, 3, 2) or begin == end:
            continue
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    now = DateutilRecurrences().standing(schedule, t)
    current = next((window for window in merged if window[0] <= t < window[1]), None)
    following = min((edge for window in merged for edge in window if edge > t), default=None)
    assert (now.window is not None) == (current is not None)
    if current is not None and now.window is not None and now.window.end is None:
        assert t < now.until <= current[1], "followed as far as is affordable, and no further than it goes"
    else:
        assert now.until == following
    if current is not None and now.window.start is not None:
        assert now.window.start == current[0]
