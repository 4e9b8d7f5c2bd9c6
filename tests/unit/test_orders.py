"""What people order and forbid, carried out in memory and in virtual time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.domain.decisions import Reason
from chalicelib.domain.errors import ConflictError
from chalicelib.domain.resources import Protection, ResourceState
from chalicelib.domain.rules import RuleState
from chalicelib.usecases.requests import request_for
from tests.unit.world import World, up_world

MINUTES = timedelta(minutes=1)


def test_a_protected_resource_is_never_stopped_whatever_the_rule_says():
    world = up_world()
    world.instance.protections = (Protection.AUTO_SCALING,)
    world.pass_time(30 * MINUTES)
    assert world.stops() == []
    assert world.rule.status.reason is Reason.PROTECTED
    world.overrides.cool_down("ru_1", minutes=30, force=True, propagate=False, by="ak_1", reason=None)
    world.pass_time(5 * MINUTES)
    assert world.stops() == []


def test_dry_run_decides_and_records_but_never_acts():
    world = World(dry_run=True)
    world.cloud.start_by_hand(world.ref)
    world.pass_time(30 * MINUTES)
    assert world.cloud.journal == []
    assert "Dry run: it would drain i-00000001" in (world.rule.status.detail or "")


def test_a_disabled_rule_is_left_alone():
    world = World(enabled=False)
    world.cloud.start_by_hand(world.ref)
    world.pass_time(30 * MINUTES)
    assert world.cloud.journal == []
    assert world.rule.status.reason is Reason.DISABLED


def test_a_warm_up_keeps_it_up_until_it_expires():
    world = World()
    world.overrides.warm_up("ru_1", minutes=30, by="ak_1", reason="demo")
    world.pass_time(29 * MINUTES)
    assert world.state is RuleState.UP
    assert world.stops() == []
    world.pass_time(15 * MINUTES)
    assert world.state is RuleState.DOWN


def test_a_cool_down_of_a_rule_in_use_is_refused_without_force():
    world = up_world()
    with pytest.raises(ConflictError, match="is in use: traffic 203"):
        world.overrides.cool_down("ru_1", minutes=30, force=False, propagate=False, by="ak_1", reason=None)
    world.overrides.cool_down("ru_1", minutes=30, force=True, propagate=False, by="ak_1", reason=None)
    world.work()
    assert len(world.stops()) == 1


def test_what_is_cooled_down_is_not_started_by_traffic_and_the_proxy_is_told():
    world = up_world()
    world.overrides.cool_down("ru_1", minutes=30, force=True, propagate=False, by="ak_1", reason=None)
    world.pass_time(2 * MINUTES)
    (state,) = world.stores.proxies.states("lb_1", world.clock.now())
    assert '"startable": false' in state
    world.wake()
    world.pass_time(5 * MINUTES)
    assert world.state is RuleState.DOWN
    world.overrides.release("ru_1", by="ak_1")
    assert world.stores.proxies.states("lb_1", world.clock.now()) == ()
    world.wake()
    world.pass_time(2 * MINUTES)
    assert world.state is RuleState.UP


def test_what_somebody_stops_by_hand_stays_down_until_it_is_used_again():
    world = up_world()
    world.cloud.stop_by_hand(world.ref)
    world.pass_time(5 * MINUTES)
    assert world.state is RuleState.DOWN
    assert world.starts() == world.starts()[:1]
    world.wake()
    world.pass_time(2 * MINUTES)
    assert world.state is RuleState.UP


def test_what_cannot_hibernate_after_all_is_stopped_and_the_event_says_so():
    world = up_world(when_idle="hibernate")
    world.pass_time(20 * MINUTES)
    assert world.state is RuleState.DOWN
    said = [e.words for e in world.stores.events.all(world.rule.created_at, world.clock.now(), 1000).items]
    assert any("i-00000001 was stopped instead of hibernated" in words for words in said)


def test_what_somebody_stops_by_hand_and_then_starts_again_is_left_up():
    """Found by the simulation: the first hand was respected longer than the second."""
    world = World(load_balancer_id=None, http=(), tcp=())
    world.cloud.start_by_hand(world.ref)
    world.pass_time(10 * MINUTES)
    world.cloud.stop_by_hand(world.ref)
    world.pass_time(60 * MINUTES)
    assert world.state is RuleState.DOWN
    world.cloud.start_by_hand(world.ref)
    world.pass_time(60 * MINUTES)
    assert world.state is RuleState.UP
    assert world.stops() == []


def test_what_is_stopped_and_started_by_hand_before_it_was_seen_down_is_left_up():
    """Found by the simulation: only a start after a look that saw it down was known for one."""
    world = up_world()
    world.cloud.stop_by_hand(world.ref)
    look(world)
    assert world.state is RuleState.STOPPING
    while world.instance.state is not ResourceState.STOPPED:
        world.clock.advance(timedelta(seconds=1))
    world.cloud.start_by_hand(world.ref)
    look(world)
    world.pass_time(3 * MINUTES)
    assert world.instance.state is ResourceState.RUNNING
    assert world.stops() == []


def look(world: World) -> None:
    """AWS says that its state has changed."""
    world.queue.send([request_for(world.rule, "state change", world.clock.now())])
    world.work()


def test_a_restart_by_hand_between_two_looks_begins_the_idle_time_anew():
    world = up_world(idle=60 * MINUTES)
    world.cloud.on_change = None
    world.pass_time(20 * MINUTES)
    world.cloud.stop_by_hand(world.ref)
    world.clock.advance(timedelta(seconds=31))
    world.cloud.start_by_hand(world.ref)
    again = world.clock.now()
    world.pass_time(100 * MINUTES)
    assert world.stops()[0] >= again + 60 * MINUTES
