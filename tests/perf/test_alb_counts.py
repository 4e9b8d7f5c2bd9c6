"""What rules on ALBs cost in calls and in metrics asked for, which are what is paid for. Counted, never timed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from chalicelib.domain.alb_traffic import MAX_SILENCE
from chalicelib.domain.decisions import Reason
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import RuleState, RuleStatus
from tests.builders import make_rule
from tests.unit.alb_world import PLACE, AlbWorld
from tests.unit.world import IDLE

MINUTE = timedelta(minutes=1)
MANY = 499
"""Rules in one message: with the series of their ALB, as many as one call takes."""


def idle_world(state: ResourceState = ResourceState.RUNNING) -> AlbWorld:
    """Many rules on one ALB that have been up, or down, for much longer than their idle time."""
    world = AlbWorld()
    refs = [world.cloud.add(f"i-m{n:07x}", state=state) for n in range(MANY)]
    world.clock.advance(IDLE + MAX_SILENCE)
    long_ago = world.clock.now() - IDLE - MAX_SILENCE
    for n, ref in enumerate(refs):
        up = state is ResourceState.RUNNING
        status = RuleStatus(
            RuleState.UP if up else RuleState.DOWN, since=long_ago, up_since=long_ago if up else None, due_at=long_ago
        )
        settings = {"load_balancer_id": "lb_alb", "http": (), "resource_ids": (ref.id,), "idle": IDLE}
        world.stores.rules.create(make_rule(f"ru_m{n}", status, **settings), None)
        world.elb.add(PLACE, f"ru_m{n}", (ref,))
    return world


def look(world: AlbWorld) -> None:
    rules = [world.stores.rules.get(f"ru_m{n}") for n in range(MANY)]
    world.observer.look(rules, world.clock.now())


def test_the_rules_of_a_message_cost_one_call_for_their_metrics_one_series_each_and_one_for_the_alb():
    world = idle_world()
    look(world)
    assert world.alb_metrics.calls == 1
    assert len(world.alb_metrics.asked) == MANY + 1


def in_use(world: AlbWorld) -> None:
    """So they were at the last look, and somebody came a moment before this one."""
    for n in range(MANY):
        rule = world.stores.rules.get(f"ru_m{n}")
        world.stores.status.record(rule, replace(rule.status, reason=Reason.ACTIVE))
    for listener_rule in world.elb.rules.values():
        world.alb_metrics.request(listener_rule.weights.groups[0][0])
    world.clock.advance(4 * MINUTE)


def test_rules_that_are_in_use_and_stay_so_cost_one_series_each_and_none_of_the_alb():
    world = idle_world()
    in_use(world)
    look(world)
    assert len(world.alb_metrics.asked) == MANY
    assert all(series.group_arn is not None for series in world.alb_metrics.asked)
    used = {world.stores.activity.facts(f"ru_m{n}").last[0].at for n in range(MANY)}
    assert used == {world.clock.now().replace(second=0, microsecond=0) - 3 * MINUTE}


def test_rules_that_were_in_use_and_are_quiet_now_are_read_once_more_with_their_alb():
    world = idle_world()
    in_use(world)
    world.clock.advance(IDLE + MAX_SILENCE)
    look(world)
    assert len(world.alb_metrics.asked) == MANY + MANY + 1


def test_rules_that_are_down_ask_for_no_metric():
    world = idle_world(ResourceState.STOPPED)
    look(world)
    assert world.alb_metrics.calls == 0


def test_rules_whose_idle_time_cannot_be_over_ask_for_no_metric():
    world = idle_world()
    for n in range(MANY):
        rule = world.stores.rules.get(f"ru_m{n}")
        world.stores.status.wake(rule.id, world.clock.now(), "traffic", world.clock.now() - MINUTE)
    look(world)
    assert world.alb_metrics.calls == 0


def test_listener_rules_are_looked_at_once_for_all_and_health_only_of_who_waits_for_it():
    world = idle_world()
    look(world)
    assert world.elb.calls == {"look": 1}
    rule = world.stores.rules.get("ru_m7")
    status = RuleStatus(RuleState.STARTING, since=world.clock.now(), start_requested_at=world.clock.now())
    world.stores.status.record(rule, status)
    look(world)
    assert world.elb.calls == {"look": 2, "healthy": 1}
