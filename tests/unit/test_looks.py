"""What counts as up, and when the records need not even be read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.adapters.recurrence.windows import DateutilRecurrences
from chalicelib.domain.decide import decide
from chalicelib.domain.facts import Facts
from chalicelib.domain.looks import can_add, look_at, scheduled_up
from chalicelib.domain.resources import ObservedResource, Protection, ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.rules import Override, OverrideKind
from chalicelib.domain.schedules import ScheduleKind
from chalicelib.domain.usage import IntervalState
from chalicelib.domain.wall_time import Weekday, WeeklyWindow
from tests.builders import make_rule, make_schedule, seen_as

NOON = datetime(2026, 1, 5, 12, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
REF = ResourceRef(ResourceKind.EC2, "us-east-1", "i-00000001")
UP, DOWN = IntervalState.UP, IntervalState.DOWN
RUNNING, STOPPED, GONE = ResourceState.RUNNING, ResourceState.STOPPED, ResourceState.GONE


def facts(state: ResourceState = RUNNING, **more) -> Facts:
    return Facts((ObservedResource(REF, state, **more),))


def rule(before: ResourceState | None = RUNNING, at: datetime | None = NOON, **spec):
    status = seen_as({REF.id: before} if before else {}, at)
    cooled = Override(OverrideKind.COOL_DOWN, NOON + timedelta(days=1), "ak_1")
    return make_rule(status=replace(status, override=cooled), load_balancer_id=None, http=(), **spec)


def states(of, found: Facts) -> list[IntervalState]:
    look = look_at(of, found, decide(of, found, NOON + MINUTE), NOON + MINUTE, None)
    return [sight.state for sight in look.sights]


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        (ResourceState.PENDING, [UP]),
        (RUNNING, [UP]),
        (ResourceState.STOPPING, [UP]),
        (STOPPED, [DOWN]),
        (GONE, []),
    ],
)
def test_only_what_has_stopped_counts_as_down(state, counts):
    assert states(rule(), facts(state)) == counts


def test_in_dry_run_it_is_down_while_it_would_be():
    assert states(rule(dry_run=True), facts(RUNNING)) == [DOWN]


def test_in_dry_run_what_must_not_be_stopped_would_be_up():
    assert states(rule(dry_run=True), facts(RUNNING, protections=(Protection.PROXY,))) == [UP]


def test_a_disabled_rule_in_dry_run_is_as_it_is():
    assert states(rule(dry_run=True, enabled=False), facts(RUNNING)) == [UP]
    assert states(rule(dry_run=True, enabled=False), facts(STOPPED)) == [DOWN]


class TestReading:
    def test_a_look_that_finds_all_as_before_need_not_read(self):
        assert not can_add(rule(), facts(), NOON + MINUTE)
        assert not can_add(rule(ResourceState.STOPPING), facts(), NOON + MINUTE)

    @pytest.mark.parametrize("found", [STOPPED, GONE])
    def test_a_change_is_recorded(self, found):
        assert can_add(rule(), facts(found), NOON + MINUTE)

    def test_so_is_what_was_up_between_two_looks_that_saw_it_down(self):
        assert can_add(rule(STOPPED), facts(STOPPED, launched_at=NOON + timedelta(seconds=1)), NOON + MINUTE)
        assert not can_add(rule(STOPPED), facts(STOPPED, launched_at=NOON), NOON + MINUTE)

    def test_so_is_the_first_look_of_an_hour_and_the_first_of_all(self):
        assert can_add(rule(), facts(), NOON + 55 * MINUTE)
        assert can_add(rule(), facts(), NOON + timedelta(days=1))
        assert can_add(rule(before=None, at=None), facts(), NOON)

    def test_so_is_a_look_that_came_late(self):
        due = replace(rule(), status=replace(rule().status, due_at=NOON))
        assert not can_add(due, facts(), NOON + 30 * MINUTE)
        assert can_add(due, facts(), NOON + 31 * MINUTE)
        assert look_at(due, facts(), decide(due, facts(), NOON), NOON + 31 * MINUTE, None).overdue

    def test_so_is_a_rule_that_somebody_has_changed_and_a_dry_run(self):
        assert can_add(replace(rule(), updated_at=NOON), facts(), NOON + MINUTE)
        assert can_add(rule(dry_run=True), facts(), NOON + MINUTE)


class TestSchedules:
    def spans(self, *schedules) -> list[tuple[int, int]] | None:
        day = NOON.date()
        found = scheduled_up(schedules, day, day, DateutilRecurrences())
        return None if found is None else [(start.hour, end.hour) for start, end in found]

    def window(self, id_: str, first: int, last: int, kind: ScheduleKind):
        weekly = (WeeklyWindow(tuple(Weekday), first * 3600, last * 3600),)
        return make_schedule(id_, kind=kind, time_zone="UTC", weekly=weekly)

    def test_without_any_there_is_nothing_to_compare_with(self):
        assert self.spans() is None

    def test_uptime_alone_rests_outside_and_downtime_alone_does_not(self):
        assert self.spans(self.window("sc_1", 8, 16, ScheduleKind.UPTIME)) == [(8, 16)]
        assert self.spans(self.window("sc_1", 8, 16, ScheduleKind.DOWNTIME)) == [(0, 8), (16, 0)]

    def test_of_both_the_downtime_wins_where_they_meet(self):
        both = (self.window("sc_1", 8, 16, ScheduleKind.UPTIME), self.window("sc_2", 10, 12, ScheduleKind.DOWNTIME))
        assert self.spans(*both) == [(8, 10), (12, 16)]
