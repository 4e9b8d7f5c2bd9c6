"""Schedules: who wins, until when, and what may be stored. What clocks do is in `test_schedules_oracle`."""

# ruff: noqa: A002, A006, DTZ001 - `id` is a field; hypothesis takes times without a zone

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.recurrence import windows
from chalicelib.adapters.recurrence.windows import DateutilRecurrences
from chalicelib.domain.decisions import Desired
from chalicelib.domain.schedules import (
    Schedule,
    ScheduleKind,
    faults,
    preview,
    recurring,
    rests_outside,
    standing,
    verdict,
)
from chalicelib.domain.wall_time import DAY, Standing, Weekday, WeeklyWindow, Window, is_zone

UP, DOWN = ScheduleKind.UPTIME, ScheduleKind.DOWNTIME
CREATED = datetime(2026, 1, 1, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = WeeklyWindow(tuple(Weekday)[:5], 8 * 3600, 18 * 3600)
ALL_DAY = WeeklyWindow(tuple(Weekday), 0, DAY)


def schedule(*weekly: WeeklyWindow, id: str = "sc_1", kind: ScheduleKind = UP, **more: object) -> Schedule:
    more = {"time_zone": "Europe/Berlin", "version": 1, "created_at": CREATED, "updated_at": CREATED} | more
    return Schedule(id=id, name=id, kind=kind, weekly=weekly, **more)


def at(text: str) -> datetime:
    """A local time in Berlin, as an instant."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def rule(text: str, hours: float = 1, **more: object) -> Schedule:
    return schedule(rrule=text, duration=timedelta(hours=hours), **more)


def begins(schedule: Schedule, t: datetime, count: int) -> list[str]:
    """The local times at which its next windows begin."""
    found: list[str] = []
    while len(found) < count:
        now = DateutilRecurrences().standing(schedule, t)
        if now.until is None:
            break
        t = now.until
        if now.window is None:
            found.append(f"{t.astimezone(BERLIN):%Y-%m-%d %H:%M}")
    return found


# One schedule


def test_office_hours_are_a_window_with_a_next_boundary_inside_and_outside() -> None:
    monday = at("2026-02-02T08:00")
    assert standing(schedule(OFFICE), monday) == Standing(
        Window(monday, at("2026-02-02T18:00")), at("2026-02-02T18:00")
    )
    assert standing(schedule(OFFICE), at("2026-02-06T18:00")) == Standing(None, at("2026-02-09T08:00"))


def test_all_days_from_0_to_24_is_one_window_that_never_ends() -> None:
    assert standing(schedule(ALL_DAY), CREATED) == Standing(Window(None, None), None)


def test_an_exception_is_the_only_boundary_of_an_endless_window_however_far_away() -> None:
    off = schedule(ALL_DAY, except_dates=(date(2026, 12, 25), date(2031, 12, 25)))
    assert standing(off, CREATED).until == at("2026-12-25T00:00")
    assert standing(off, at("2026-12-25T23:59:59")) == Standing(None, at("2026-12-26T00:00"))
    between = Window(at("2026-12-26T00:00"), at("2031-12-25T00:00"))
    assert standing(off, at("2026-12-26T00:00")) == Standing(between, between.end)


def test_a_window_that_began_the_day_before_an_exception_goes_on_into_it() -> None:
    night = WeeklyWindow(tuple(Weekday), 22 * 3600, 6 * 3600)
    off = schedule(night, except_dates=(date(2026, 2, 3),))
    assert standing(off, at("2026-02-03T05:59")).until == at("2026-02-03T06:00")
    assert standing(off, at("2026-02-03T06:00")) == Standing(None, at("2026-02-04T22:00"))


def test_from_and_until_clip_windows_however_far_away_they_are() -> None:
    year = schedule(ALL_DAY, starts=at("2030-01-01T12:00"), until=at("2036-01-01T12:00"))
    assert standing(year, CREATED) == Standing(None, year.starts)
    assert standing(year, at("2033-01-01T00:00")) == Standing(Window(year.starts, year.until), year.until)
    assert standing(year, year.until) == Standing(None, None)
    sunday = datetime(2026, 2, 1, tzinfo=UTC)
    assert standing(schedule(ALL_DAY, starts=sunday), sunday) == Standing(Window(sunday, None), None)


def test_from_and_until_alone_are_one_window() -> None:
    once = schedule(starts=at("2026-02-02T08:00"), until=at("2026-02-02T09:00"))
    assert standing(once, CREATED) == Standing(None, once.starts)
    assert standing(once, once.starts) == Standing(Window(once.starts, once.until), once.until)
    assert standing(once, once.until) == Standing(None, None)


def test_a_time_in_any_zone_is_the_instant_that_it_is() -> None:
    t = datetime(2026, 3, 1, 0, 30, tzinfo=ZoneInfo("Pacific/Kiritimati"))
    assert standing(schedule(OFFICE), t) == standing(schedule(OFFICE), t.astimezone(UTC))


# Many schedules

weekly_windows = st.builds(
    lambda days, start, length: WeeklyWindow(tuple(days), start * 900, (start + length) * 900 % DAY),
    st.lists(st.sampled_from(list(Weekday)), min_size=1, unique=True),
    st.integers(0, 95),
    st.integers(1, 95),
)
schedules = st.builds(
    lambda id, weekly, **more: schedule(*weekly, id=f"sc_{id}", **more),
    st.integers(1, 10_000),
    st.lists(weekly_windows | st.just(ALL_DAY), min_size=1, max_size=3),
    kind=st.sampled_from(ScheduleKind),
    time_zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    priority=st.integers(1, 3),
    except_dates=st.lists(st.dates(date(2026, 1, 1), date(2027, 1, 1)), max_size=3, unique=True).map(tuple),
    starts=st.none() | st.datetimes(datetime(2025, 6, 1), datetime(2026, 6, 1), timezones=st.just(UTC)),
    until=st.none() | st.datetimes(datetime(2026, 6, 2), datetime(2027, 6, 1), timezones=st.just(UTC)),
) | st.sampled_from([rule("FREQ=WEEKLY;BYDAY=TU;BYHOUR=9;BYMINUTE=0", 5, id="sc_rule"), rule("FREQ=HOURLY;INTERVAL=5")])
instants = st.datetimes(datetime(2026, 1, 2), datetime(2027, 1, 1), timezones=st.just(UTC))
sets = st.lists(schedules, min_size=1, max_size=4, unique_by=lambda s: s.id)


def ask(schedules: list[Schedule], t: datetime) -> object:
    return verdict(schedules, t, recurring(schedules, t, DateutilRecurrences()))


@given(schedules.filter(lambda s: s.rrule is None), instants, st.floats(0, 1))
@settings(deadline=None)
def test_the_state_is_constant_up_to_the_next_boundary_and_another_there(
    schedule: Schedule, t: datetime, part: float
) -> None:
    now = standing(schedule, t)
    assert now.until is None or now.until > t
    later = t + (now.until - t) * part if now.until else t + timedelta(days=5000) * part
    if now.until is None or later < now.until:
        assert standing(schedule, later) == now
    if now.until is not None:
        assert (standing(schedule, now.until).window is None) != (now.window is None)
    if now.window is not None and now.window.start is not None:
        assert now.window.start <= t
        assert standing(schedule, now.window.start) == now
        assert standing(schedule, now.window.start - timedelta(microseconds=1)).window is None


@given(sets, instants)
@settings(deadline=None)
def test_the_highest_priority_in_a_window_wins_and_of_equals_downtime(given: list[Schedule], t: datetime) -> None:
    known = recurring(given, t, DateutilRecurrences())
    standings = [(s, known.get(s.id) or standing(s, t)) for s in given]
    inside = [s for s, now in standings if now.window]
    result = verdict(given, t, known)
    assert result.until == min((now.until for _, now in standings if now.until), default=None)
    assert (result.schedule is None) == (not inside)
    for other in inside:
        assert result.schedule.priority <= other.priority
        if result.schedule.priority == other.priority and other.kind is DOWN:
            assert result.desired is Desired.DOWN
    assert verdict(given[::-1], t, known) == result


@given(sets, instants, st.lists(st.integers(0, 7 * DAY - 1), min_size=5, max_size=20))
@settings(deadline=None, max_examples=60)
def test_a_preview_says_what_the_verdicts_will_say(given: list[Schedule], t: datetime, later: list[int]) -> None:
    spans = preview(given, t, DateutilRecurrences())
    assert spans[0].start == t
    assert spans[-1].end == t + timedelta(days=7)
    for one, next_ in pairwise(spans):
        assert one.end == next_.start
        assert (one.kind, one.schedule_id) != (next_.kind, next_.schedule_id)
    for seconds in later:
        moment = t + timedelta(seconds=seconds)
        span = next(span for span in spans if span.start <= moment < span.end)
        result = ask(given, moment)
        assert span.schedule_id == (result.schedule.id if result.schedule else None)
        assert span.kind == (result.schedule.kind if result.schedule else None)


def test_no_schedule_says_nothing_for_ever() -> None:
    result = verdict([], CREATED)
    assert (result.schedule, result.desired, result.until) == (None, None, None)


def test_a_standing_that_is_over_is_no_verdict() -> None:
    with pytest.raises(ValueError, match="held until"):
        verdict([rule("FREQ=DAILY")], CREATED, {"sc_1": Standing(None, CREATED)})


def test_outside_all_windows_a_rule_without_traffic_is_down_if_it_has_uptime_and_up_if_only_downtime() -> None:
    up, down = schedule(OFFICE), schedule(OFFICE, kind=DOWN, id="sc_2")
    assert rests_outside([up]) is rests_outside([up, down]) is Desired.DOWN
    assert rests_outside([down]) is rests_outside([]) is Desired.UP


# Recurrence rules


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FREQ=MONTHLY;BYDAY=1MO;BYHOUR=8;BYMINUTE=0", ["2026-01-05 08:00", "2026-02-02 08:00", "2026-03-02 08:00"]),
        ("RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["2026-01-30 00:00", "2026-02-27 00:00"]),
        ("freq=daily;count=2", ["2026-01-02 00:00"]),
        ("FREQ=DAILY;UNTIL=20260103", ["2026-01-02 00:00", "2026-01-03 00:00"]),
        ("FREQ=DAILY;BYHOUR=9;BYMINUTE=0;UNTIL=20260103T080000Z", ["2026-01-02 09:00", "2026-01-03 09:00"]),
        ("FREQ=DAILY;BYHOUR=9;BYMINUTE=0;UNTIL=20260103T075959Z", ["2026-01-02 09:00"]),
        ("FREQ=DAILY;BYHOUR=9;BYMINUTE=0;UNTIL=20260103T085959", ["2026-01-02 09:00"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", ["2028-02-29 00:00", "2032-02-29 00:00"]),
    ],
)  # fmt: skip
def test_a_rule_names_its_windows(text: str, expected: list[str]) -> None:
    """Created on the 1st of January, without a `from`: it counts from 00:00 of that day."""
    assert begins(rule(text), at("2026-01-01T12:00"), len(expected)) == expected
    if "COUNT" in text.upper() or "UNTIL" in text:
        assert begins(rule(text), at("2026-01-01T12:00"), 9) == expected


def test_windows_of_a_rule_keep_wall_time_over_a_change_of_the_clocks() -> None:
    night = rule("FREQ=DAILY", 8, starts=at("2026-03-27T22:00"))
    now = DateutilRecurrences().standing(night, at("2026-03-29T01:00"))
    assert now.window == Window(at("2026-03-28T22:00"), at("2026-03-29T06:00"))
    assert now.window.end - now.window.start == timedelta(hours=7)


def test_windows_of_a_rule_that_overlap_are_one_and_endless_ones_are_followed_for_a_while() -> None:
    three = rule("FREQ=HOURLY;COUNT=3", 1.5, starts=at("2026-02-02T08:00"))
    assert DateutilRecurrences().standing(three, three.starts) == Standing(
        Window(three.starts, at("2026-02-02T11:30")), at("2026-02-02T11:30")
    )
    days = ",".join(str(day) for day in range(1, 21))
    long = Standing(Window(at("2026-05-01T00:00"), at("2026-05-21T00:00")), at("2026-05-21T00:00"))
    assert DateutilRecurrences().standing(rule(f"FREQ=MONTHLY;BYMONTHDAY={days}", 24), at("2026-05-20T12:00")) == long
    endless = DateutilRecurrences().standing(rule("FREQ=DAILY", 24), at("2026-06-01T12:00"))
    assert endless.window == Window(None, None)
    assert endless.until == at("2026-06-02T00:00") + timedelta(days=windows.MOST_AHEAD)


def test_a_rule_that_always_falls_into_the_gap_of_spring_is_never_on() -> None:
    assert begins(rule("FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU;BYHOUR=2;BYMINUTE=15", 0.5), CREATED, 1) == []


def test_a_rule_is_expanded_once_between_two_boundaries(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    parse = windows.parse_rule
    monkeypatch.setattr(windows, "parse_rule", lambda text: asked.append(text) or parse(text))
    recurrences, office = DateutilRecurrences(), rule("FREQ=DAILY;BYHOUR=8;BYMINUTE=0", 10)
    for minute in range(0, 24 * 60, 7):
        t = at("2026-02-02T00:00") + timedelta(minutes=minute)
        assert (recurrences.standing(office, t).window is not None) == (8 * 60 <= minute < 18 * 60)
    assert len(asked) == 3
    recurrences.standing(office, at("2026-02-01T00:00"))
    assert len(asked) == 4, "what is kept says nothing of the time before it"


def test_no_more_than_so_many_standings_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "CAPACITY", 2)
    recurrences = DateutilRecurrences()
    for n in range(4):
        recurrences.standing(rule("FREQ=DAILY", id=f"sc_{n}"), CREATED)
    assert [kept.id for kept in recurrences._known] == ["sc_2", "sc_3"]


# What may be stored


@pytest.mark.parametrize(
    ("wrong", "fields"),
    [
        (schedule(OFFICE), []),
        (schedule(ALL_DAY, starts=CREATED, until=CREATED + timedelta(1), except_dates=(date(2026, 1, 1),)), []),
        (schedule(starts=CREATED, until=CREATED + timedelta(1)), []),
        (rule("FREQ=HOURLY;BYDAY=MO", 7 * 24), []),
        (schedule(OFFICE, priority=0), ["priority"]),
        (schedule(OFFICE, priority=101), ["priority"]),
        (schedule(), ["from", "until"]),
        (schedule(starts=CREATED, until=CREATED), ["until"]),
        (schedule(OFFICE, starts=CREATED.replace(year=1), until=CREATED.replace(year=9999)), ["from", "until"]),
        (schedule(WeeklyWindow((), 3600, 3600)), ["weekly[0].days", "weekly[0].end"]),
        (schedule(OFFICE, WeeklyWindow((Weekday.MON,) * 2, 0, 1)), ["weekly[1].days"]),
        (schedule(WeeklyWindow((Weekday.MON,), -1, DAY + 1)), ["weekly[0].start", "weekly[0].end"]),
        (schedule(WeeklyWindow((Weekday.MON,), DAY, 0)), ["weekly[0].start"]),
        (schedule(*[OFFICE] * 51), ["weekly"]),
        (schedule(OFFICE, except_dates=(date(2026, 1, 1), date(2026, 1, 1))), ["except_dates[1]"]),
        (schedule(OFFICE, except_dates=(date(2026, 1, 1), date(9999, 1, 1))), ["except_dates[1]"]),
        (schedule(OFFICE, except_dates=tuple(date(2026, 1, 1) + timedelta(n) for n in range(367))), ["except_dates"]),
        (schedule(starts=CREATED, until=CREATED + timedelta(1), except_dates=(date(2026, 1, 1),)), ["except_dates"]),
        (schedule(OFFICE, rrule="FREQ=DAILY", duration=timedelta(1)), ["rrule"]),
        (schedule(OFFICE, duration=timedelta(1)), ["duration_minutes"]),
        (schedule(rrule="FREQ=DAILY"), ["duration_minutes"]),
        (rule("FREQ=DAILY", 0), ["duration_minutes"]),
        (rule("FREQ=NEVER", 7 * 24 + 1, priority=0), ["duration_minutes", "priority", "rrule"]),
    ],
)  # fmt: skip
def test_every_fault_is_named_by_its_field(wrong: Schedule, fields: list[str]) -> None:
    assert [fault.field for fault in faults(wrong, DateutilRecurrences())] == fields


@pytest.mark.parametrize(
    "zone", ["../../etc/passwd", "/etc/passwd", "Asia/../UTC", "utc", "localtime", "Factory", "", "\0"]
)
def test_what_is_no_zone_is_refused_without_looking_for_its_file(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_zone("Europe/Berlin")
    monkeypatch.setattr("zoneinfo.ZoneInfo", None)
    monkeypatch.setattr("builtins.open", None)
    for wrong in (schedule(OFFICE, time_zone=zone), rule("FREQ=DAILY", time_zone=zone)):
        assert [fault.field for fault in faults(wrong, DateutilRecurrences())] == ["time_zone"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FREQ=SECONDLY", "too dense"),
        ("FREQ=MINUTELY;INTERVAL=60", "too dense"),
        ("FREQ=DAILY;BYHOUR=1,2,3,4,5;BYMINUTE=1,2,3,4,5", "too dense"),
        ("FREQ=HOURLY;BYMINUTE=0,30", "too dense"),
        ("FREQ=DAILY;COUNT=1001", "COUNT is not a number from 1 to 1000"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL is not"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "exclude each other"),
        ("FREQ=DAILY;UNTIL=20261301", "UNTIL is not a time"),
        ("FREQ=DAILY;UNTIL=99991231T235959Z", "UNTIL is not in the years"),
        ("FREQ=DAILY;UNTIL=20251231", "names no time"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ twice"),
        ("FREQ=DAILY\nDTSTART:19700101", "needs a FREQ"),
        ("BYDAY=MO", "needs a FREQ"),
        ("FREQ=YEARLY;BYEASTER=0", "is not a part"),
        ("FREQ=WEEKLY;BYDAY=1MO", "needs FREQ=MONTHLY"),
        ("FREQ=MONTHLY;BYDAY=0MO", "is not a day"),
        ("FREQ=WEEKLY;WKST=XX", "WKST"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "cannot be used with"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY: '32'"),
        ("FREQ=DAILY;BYSETPOS=1", "needs another"),
        ("FREQ=HOURLY;INTERVAL=24;BYHOUR=5", "names no time"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "names no time"),
        ("FREQ=WEEKLY;BYDAY=MO;BYSETPOS=2", "names no time"),
        (";".join(["FREQ=DAILY"] * 99), "longer than"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_in_words(text: str, words: str) -> None:
    assert words in DateutilRecurrences().fault(rule(text))


parts = st.sampled_from(["FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYHOUR",
    "BYMINUTE", "BYSETPOS", "BYWEEKNO", "BYYEARDAY"])  # fmt: skip
values = st.sampled_from(
    ["DAILY", "WEEKLY", "MONTHLY", "YEARLY", "HOURLY", "MO", "1MO", "-1FR,SU", "20270101", "20270101T000000Z"]
)
numbers = st.lists(st.integers(-2, 53), min_size=1, max_size=3).map(lambda found: ",".join(map(str, found)))
texts = st.lists(
    st.tuples(parts, values | numbers).map("=".join), max_size=4, unique_by=lambda part: part.split("=")[0]
)


@given(st.text() | texts.map(lambda found: ";".join(["FREQ=DAILY", *found])) | texts.map(";".join), instants)
@settings(deadline=None)
def test_any_text_is_refused_in_words_or_has_standings(text: str, t: datetime) -> None:
    anything = rule(text, 30)
    if DateutilRecurrences().fault(anything) is None:
        now = DateutilRecurrences().standing(anything, t)
        assert now.until is None or now.until > t
