"""Schedules carried out, in virtual time. The clock starts on Monday, 2026-01-05 at 09:00 in Berlin."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from chalicelib.domain.decisions import Reason
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import RuleState
from chalicelib.domain.schedules import ScheduleKind
from chalicelib.domain.wall_time import Weekday, WeeklyWindow
from chalicelib.usecases.manage_schedules import ManageSchedules
from tests.builders import make_schedule
from tests.unit.world import IDLE, World

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
EVERY_DAY = tuple(Weekday)
NO_TRAFFIC = {"load_balancer_id": None, "http": (), "tcp": ()}


def window(start: int, end: int) -> tuple[WeeklyWindow, ...]:
    return (WeeklyWindow(EVERY_DAY, start * 3600, end * 3600),)


def world_on(*schedules, **spec) -> World:
    world = World(**spec)
    for schedule in schedules:
        world.stores.schedules.create(schedule)
    world.change("ru_1", schedule_ids=tuple(schedule.id for schedule in schedules))
    return world


def local(world: World, moment: datetime) -> str:
    return (moment + HOUR).strftime("%H:%M")


def test_a_rule_with_schedules_only_is_up_in_its_window_and_down_outside():
    world = world_on(make_schedule(weekly=window(10, 12)), **NO_TRAFFIC)
    world.pass_time(26 * HOUR, step=20 * timedelta(seconds=1))
    assert [local(world, at) for at in world.starts()] == ["10:00", "10:00"]
    assert [local(world, at) for at in world.stops()] == ["12:00"]
    assert world.rule.status.reason is Reason.UPTIME


def test_losing_every_message_and_a_tick_costs_a_minute_and_no_window():
    world = world_on(make_schedule(weekly=window(10, 12)), **NO_TRAFFIC)
    world.pass_time(59 * MINUTE)
    world.queue.waiting.clear()
    world.clock.advance(5 * MINUTE)
    world.tick.run()
    world.work()
    assert len(world.starts()) == 1


def test_a_rule_with_traffic_is_kept_up_by_uptime_and_goes_idle_after_it():
    world = world_on(make_schedule(weekly=window(8, 10)))
    world.pass_time(50 * MINUTE)
    assert world.state is RuleState.UP
    assert world.stops() == []
    world.pass_time(20 * MINUTE)
    assert world.state is RuleState.DOWN


def test_in_downtime_traffic_is_stopped_and_starts_nothing_and_the_proxy_says_until_when():
    world = world_on(make_schedule(kind=ScheduleKind.DOWNTIME, name="lunch", weekly=window(10, 11)))
    world.wake()
    for _ in range(62):
        world.agent.use()
        world.pass_time(MINUTE)
    assert len(world.stops()) == 1
    world.wake()
    world.pass_time(2 * MINUTE)
    assert world.state is RuleState.DOWN
    held = world.rule.held_down(world.clock.now())
    assert held is not None
    assert (held.reason, local(world, held.until)) == (Reason.DOWNTIME, "11:00")
    (state,) = world.stores.proxies.states("lb_1", world.clock.now())
    assert '"reason": "downtime"' in state
    assert "lunch" in state
    world.pass_time(57 * MINUTE)
    assert world.rule.held_down(world.clock.now()) is None
    world.wake()
    world.pass_time(MINUTE)
    assert world.state is RuleState.UP


@pytest.mark.parametrize(("downtime", "state"), [(2, RuleState.UP), (1, RuleState.DOWN)])
def test_the_highest_priority_wins_and_of_equals_downtime(downtime, state):
    up = make_schedule("sc_up", weekly=window(8, 18), priority=1)
    down = make_schedule("sc_down", kind=ScheduleKind.DOWNTIME, weekly=window(8, 18), priority=downtime)
    world = world_on(up, down, **NO_TRAFFIC)
    world.pass_time(5 * MINUTE)
    assert world.state is state


def test_a_recurrence_rule_is_carried_out():
    monthly = make_schedule(weekly=(), rrule="FREQ=MONTHLY;BYDAY=1MO;BYHOUR=10;BYMINUTE=0", duration=HOUR)
    world = world_on(monthly, **NO_TRAFFIC)
    world.pass_time(3 * HOUR, step=20 * timedelta(seconds=1))
    assert [local(world, at) for at in world.starts()] == ["10:00"]
    assert [local(world, at) for at in world.stops()] == ["11:00"]


def test_an_override_beats_a_schedule_until_it_expires_or_is_released():
    world = world_on(make_schedule(kind=ScheduleKind.DOWNTIME, weekly=window(0, 24)), **NO_TRAFFIC)
    world.overrides.warm_up("ru_1", minutes=30, by="ak_1", reason=None)
    world.pass_time(10 * MINUTE)
    assert world.state is RuleState.UP
    world.overrides.release("ru_1", by="ak_1")
    world.pass_time(2 * MINUTE)
    assert world.state is RuleState.DOWN


def test_what_is_stopped_by_hand_in_uptime_stays_down_until_the_next_window():
    world = world_on(make_schedule(weekly=window(8, 18)), **NO_TRAFFIC)
    world.pass_time(5 * MINUTE)
    world.cloud.stop_by_hand(world.ref)
    world.pass_time(8 * HOUR, step=MINUTE)
    assert world.state is RuleState.DOWN
    assert world.rule.status.reason is Reason.STOPPED_BY_HAND
    world.pass_time(16 * HOUR, step=MINUTE)
    assert world.state is RuleState.UP


def test_with_enforce_what_is_stopped_by_hand_in_uptime_is_started_again():
    world = world_on(make_schedule(weekly=window(8, 18)), **NO_TRAFFIC, on_manual_change="enforce")
    world.pass_time(5 * MINUTE)
    world.cloud.stop_by_hand(world.ref)
    world.pass_time(12 * MINUTE)
    assert world.state is RuleState.UP


@pytest.mark.parametrize(("policy", "up"), [("respect", True), ("enforce", False)])
def test_what_is_started_by_hand_outside_its_window_stays_up_only_with_respect_and_to_the_next_boundary(policy, up):
    world = world_on(make_schedule(weekly=window(12, 13)), **NO_TRAFFIC, on_manual_change=policy)
    world.pass_time(5 * MINUTE)
    world.cloud.start_by_hand(world.ref)
    world.pass_time(2 * HOUR, step=20 * timedelta(seconds=1))
    assert (world.instance.state is ResourceState.RUNNING) is up
    world.pass_time(3 * HOUR, step=20 * timedelta(seconds=1))
    assert world.state is RuleState.DOWN


def test_a_schedule_that_changes_is_looked_at_at_once():
    world = world_on(make_schedule(weekly=window(12, 13)), **NO_TRAFFIC)
    world.pass_time(2 * MINUTE)
    s = world.stores
    manage = ManageSchedules(
        s.schedules, s.rules, s.status, world.recurrences, s.events, world.queue, world.clock, world.ids
    )
    manage.replace("sc_1", make_schedule(weekly=window(8, 13)), "ak_1")
    world.work()
    assert len(world.starts()) == 1


def test_a_rule_with_schedules_only_becomes_a_rule_with_traffic_and_back():
    world = world_on(make_schedule(weekly=window(10, 11)))
    world.pass_time(10 * MINUTE)
    http = world.rule.spec.http
    world.change("ru_1", load_balancer_id=None, http=())
    world.pass_time(60 * MINUTE)
    assert world.state is RuleState.UP
    world.change("ru_1", load_balancer_id="lb_1", http=http)
    world.pass_time(50 * MINUTE + IDLE + 10 * MINUTE)
    assert world.state is RuleState.DOWN
    assert world.rule.status.reason is Reason.IDLE
    world.wake()
    world.pass_time(MINUTE)
    assert world.state is RuleState.UP


def test_the_history_names_the_schedule_that_started_and_the_one_that_stopped():
    world = world_on(make_schedule(weekly=window(9, 10)), **NO_TRAFFIC)
    world.pass_time(3 * HOUR, step=20 * timedelta(seconds=1))
    actors = {event.action: event.actor for event in world.history() if event.action in {"start", "stop"}}
    assert actors == {"start": "schedule sc_1", "stop": "schedule sc_1"}
