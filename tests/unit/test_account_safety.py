"""The account's pause switch, and the most stops of a minute."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.domain.account import AccountSettings
from chalicelib.domain.decisions import Reason
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import RuleState
from chalicelib.domain.schedules import ScheduleKind
from tests.builders import make_schedule
from tests.unit.test_rules_on_schedules import window
from tests.unit.world import IDLE, World, up_world

MINUTE = timedelta(minutes=1)


def set_account(world: World, **settings: object) -> None:
    before = world.stores.account.settings()
    world.stores.account.put(before, AccountSettings(**settings))  # type: ignore[arg-type]


def test_nothing_is_stopped_while_the_account_is_paused_and_the_explanation_says_so():
    world = up_world()
    set_account(world, paused=True)
    world.pass_time(4 * IDLE)
    assert world.state is RuleState.UP
    assert world.stops() == []
    explained = world.explain.run("ru_1").decision
    assert explained.reason is Reason.PAUSED
    assert len([event for event in world.history() if event.reason == Reason.PAUSED]) == 1
    set_account(world, paused=False)
    world.pass_time(6 * MINUTE)
    assert world.state is RuleState.DOWN


def test_a_pause_undoes_a_diversion_that_has_begun():
    world = up_world()
    while world.rule.status.drain is None:
        world.pass_time(timedelta(seconds=5))
    set_account(world, paused=True)
    world.pass_time(MINUTE)
    assert world.rule.status.drain is None
    assert not world.agent.diverts()
    assert world.stops() == []


def test_starts_go_on_while_the_account_is_paused():
    world = World()
    set_account(world, paused=True)
    world.pass_time(timedelta(seconds=10))
    world.wake()
    world.pass_time(MINUTE)
    assert world.state is RuleState.UP


@pytest.mark.parametrize("how", ["cool-down", "downtime"])
def test_a_pause_is_stronger_than_a_person_and_a_schedule(how):
    world = up_world()
    set_account(world, paused=True)
    if how == "cool-down":
        world.overrides.cool_down("ru_1", minutes=30, force=True, propagate=False, by="ak_1", reason=None)
    else:
        world.stores.schedules.create(make_schedule(kind=ScheduleKind.DOWNTIME, weekly=window(0, 24)))
        world.change("ru_1", schedule_ids=("sc_1",))
    world.pass_time(3 * MINUTE)
    assert world.stops() == []
    assert world.rule.status.reason is Reason.PAUSED


def test_no_more_stops_begin_in_a_minute_than_the_account_allows_and_all_come_to_their_turn():
    world = World()
    names = [f"ru_{n:02d}" for n in range(10, 20)]
    for name in names:
        ref = world.add_rule(name, f"i-000000{name[3:]}")
        world.cloud.instances[ref].state = ResourceState.RUNNING
        world.overrides.warm_up(name, minutes=5, by="ak_1", reason=None)
    set_account(world, max_stops_per_tick=3)
    world.pass_time(MINUTE)
    for name in names:
        world.overrides.cool_down(name, minutes=600, force=True, propagate=False, by="ak_1", reason=None)
    world.pass_time(6 * MINUTE)
    by_minute: dict[str, int] = {}
    for at in world.stops():
        by_minute[f"{at:%H:%M}"] = by_minute.get(f"{at:%H:%M}", 0) + 1
    assert max(by_minute.values()) == 3
    assert sum(by_minute.values()) == 10
    told = [e for name in names for e in world.history(name) if e.reason == Reason.STOPS_LIMITED]
    assert told
    assert all(world.stores.rules.get(name).status.state is RuleState.DOWN for name in names)


def test_a_rule_of_more_resources_than_the_limit_is_stopped_all_the_same():
    world = World(resource_ids=("i-00000001", "i-00000002"), load_balancer_id=None, http=())
    world.cloud.add("i-00000002", state=ResourceState.RUNNING)
    world.cloud.start_by_hand(world.ref)
    set_account(world, max_stops_per_tick=1)
    world.pass_time(MINUTE)
    world.overrides.cool_down("ru_1", minutes=60, force=True, propagate=False, by="ak_1", reason=None)
    world.pass_time(2 * MINUTE)
    assert world.state is RuleState.DOWN
