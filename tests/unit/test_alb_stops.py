"""A rule on an ALB: weights first, then proof of the time since, then the stop; and all the ways back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from chalicelib.domain.alb_traffic import GUARD_ABOVE, MAX_SILENCE, Position
from chalicelib.domain.decisions import Reason
from chalicelib.domain.drains import SETTLING
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.guards import GuardMetric
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.routes import HttpRoute
from chalicelib.domain.rules import RuleState
from chalicelib.ports import Series
from tests.unit.alb_world import AlbWorld, up_alb_world
from tests.unit.world import IDLE

SECONDS = timedelta(seconds=1)
MINUTES = timedelta(minutes=1)


def until_diverted(world: AlbWorld) -> None:
    for _ in range(400):
        world.pass_time(5 * SECONDS)
        if world.rule.status.drain is not None:
            return
    raise AssertionError(world.rule.status)


def until(world: AlbWorld, state: RuleState) -> None:
    for _ in range(400):
        if world.state is state:
            return
        world.pass_time(5 * SECONDS)
    raise AssertionError(world.rule.status)


def test_a_rule_that_is_down_has_its_traffic_at_the_function():
    world = AlbWorld()
    world.pass_time(2 * MINUTES)
    assert world.state is RuleState.DOWN
    assert world.did == ["function"]


def test_a_visit_to_the_function_starts_it_and_the_weights_go_back_only_once_its_target_is_healthy():
    world = AlbWorld()
    world.pass_time(2 * MINUTES)
    world.elb.accepts = False
    assert world.visit() is Position.FUNCTION
    world.pass_time(2 * MINUTES)
    assert world.instance.state is ResourceState.RUNNING
    assert (world.state, world.position) == (RuleState.STARTING, Position.FUNCTION)
    world.elb.accepts = True
    world.pass_time(6 * SECONDS, step=SECONDS)
    assert (world.state, world.position) == (RuleState.UP, Position.INSTANCES)
    assert world.did == ["function", "start", "instances"]


def test_one_reconcile_after_the_target_is_healthy_brings_the_traffic_back():
    world = AlbWorld()
    world.pass_time(2 * MINUTES)
    world.elb.accepts = False
    world.visit()
    world.pass_time(2 * MINUTES)
    world.elb.accepts = True
    reconciled = world.worker.reconcile(world.rule, world.observer.look([world.rule], world.clock.now()))
    assert (reconciled.status.state, world.position) == (RuleState.UP, Position.INSTANCES)


def test_the_weights_go_to_the_function_first_and_the_stop_waits_for_the_proof_of_the_minute_after():
    world = up_alb_world()
    world.order.clear()
    until(world, RuleState.DOWN)
    assert world.did == ["function", "stop"]
    waited = world.at("stop") - world.at("function")
    assert waited >= SETTLING + world.alb_metrics.lag
    assert waited <= SETTLING + world.alb_metrics.lag + 2 * MINUTES


def test_a_rule_in_use_is_never_diverted():
    world = up_alb_world()
    world.order.clear()
    for _ in range(20):
        world.visit()
        world.pass_time(IDLE - 30 * SECONDS)
    assert world.did == []
    assert world.state is RuleState.UP


def test_a_visit_to_the_function_during_the_diversion_brings_the_traffic_back_and_nothing_is_stopped():
    world = up_alb_world()
    until_diverted(world)
    world.pass_time(world.elb.settles)
    world.order.clear()
    assert world.visit() is Position.FUNCTION
    world.work()
    assert world.did == ["instances"]
    assert world.state is RuleState.UP
    assert world.stops() == []


def test_a_visit_that_a_node_still_sends_to_the_instances_after_the_change_cancels_the_stop():
    world = up_alb_world()
    world.elb.settles = 50 * SECONDS
    until_diverted(world)
    world.pass_time(30 * SECONDS)
    world.order.clear()
    assert world.visit() is Position.INSTANCES
    world.pass_time(6 * MINUTES)
    assert world.did[0] == "instances"
    assert world.stops() == []


def test_a_cloudwatch_that_is_late_keeps_it_waiting_and_one_that_is_silent_keeps_it_up_and_says_blind():
    world = up_alb_world()
    world.alb_metrics.through = world.clock.now()
    world.pass_time(MAX_SILENCE + IDLE)
    assert world.stops() == []
    assert world.rule.status.reason is Reason.BLIND
    assert "load balancer lb_alb has proven nothing" in (world.rule.status.detail or "")
    world.alb_metrics.through = None
    until(world, RuleState.DOWN)


def test_metrics_that_cannot_be_read_are_blindness_not_silence():
    world = up_alb_world()
    for _ in range(400):
        world.alb_metrics.fail_next.append(CloudError("AccessDenied", "no"))
    world.pass_time(20 * MINUTES)
    assert world.stops() == []
    assert world.rule.status.reason is Reason.BLIND


def by_hand(world: AlbWorld, instances: int, function: int) -> None:
    """Somebody puts other weights at the console, and they reach the nodes at once."""
    rule = world.elb.rules[world.listener_rule]
    (group, _), (ours, _) = rule.weights.groups
    rule.weights = rule.before = replace(rule.weights, groups=((group, instances), (ours, function)))


def test_a_diversion_that_somebody_undoes_by_hand_is_given_up_and_tried_again_later():
    world = up_alb_world()
    until_diverted(world)
    by_hand(world, 50, 50)
    world.order.clear()
    world.pass_time(MINUTES)
    assert world.did[0] == "instances"
    assert Reason.DRAIN_UNCONFIRMED.value in {event.reason for event in world.history()}
    assert world.stops() == []
    until(world, RuleState.DOWN)
    assert world.did == ["instances", "function", "stop"]


def test_who_came_while_the_diversion_was_undone_is_not_stopped_on_proof_of_before():
    world = up_alb_world()
    until_diverted(world)
    world.pass_time(MINUTES)
    by_hand(world, 100, 0)
    world.pass_time(MINUTES)
    assert world.visit() is Position.INSTANCES
    used_at = world.clock.now()
    until(world, RuleState.DOWN)
    assert world.stops()[-1] >= used_at + IDLE


def test_a_cloudwatch_that_gets_late_during_the_diversion_makes_the_stop_wait_and_not_fail():
    world = up_alb_world()
    until_diverted(world)
    world.alb_metrics.lag = MAX_SILENCE - MINUTES
    began = world.at("function")
    world.pass_time(MAX_SILENCE)
    assert world.state in {RuleState.STOPPING, RuleState.DOWN}
    until(world, RuleState.DOWN)
    assert world.at("stop") - began >= SETTLING + MAX_SILENCE - MINUTES


def test_a_change_of_weights_that_aws_refuses_stops_nothing_and_says_so_in_its_words():
    world = up_alb_world()
    world.elb.refuse_next.append(CloudError("AccessDenied", "not authorized to perform ModifyRule"))
    until(world, RuleState.FAILED)
    assert world.rule.status.drain is None
    assert "not authorized" in (world.rule.status.detail or "")
    assert world.stops() == []
    until(world, RuleState.DOWN)


def test_a_change_of_weights_that_is_slowed_down_happens_later():
    world = up_alb_world()
    world.elb.refuse_next.append(ThrottledError("Throttling", "slow down"))
    world.order.clear()
    until(world, RuleState.DOWN)
    assert world.did == ["function", "function", "stop"]


def test_weights_that_do_not_come_back_after_a_start_leave_it_failed_until_they_do():
    world = AlbWorld()
    world.pass_time(2 * MINUTES)
    world.elb.refuse_next.append(CloudError("ServiceUnavailable", "try again"))
    world.visit()
    until(world, RuleState.FAILED)
    assert world.rule.status.reason is Reason.START_FAILED
    until(world, RuleState.UP)
    assert world.position is Position.INSTANCES


def test_a_stop_that_aws_refuses_gives_the_traffic_back_at_once():
    world = up_alb_world()
    until_diverted(world)
    world.instance.refuse_stop.append(("OperationNotPermitted", "no"))
    until(world, RuleState.FAILED)
    assert world.position is Position.INSTANCES


def test_a_forced_cool_down_moves_the_traffic_and_stops_in_the_same_step():
    world = up_alb_world()
    world.order.clear()
    world.overrides.cool_down("ru_1", minutes=30, force=True, propagate=False, by="ak_1", reason=None)
    world.work()
    assert world.did == ["function", "stop"]


def test_an_ordered_cool_down_waits_for_the_proof_as_well():
    world = up_alb_world()
    world.pass_time(IDLE)
    world.order.clear()
    world.overrides.cool_down("ru_1", minutes=60, force=False, propagate=False, by="ak_1", reason=None)
    until(world, RuleState.DOWN)
    assert world.did == ["function", "stop"]
    assert world.at("stop") - world.at("function") >= SETTLING


def test_bytes_that_its_instances_send_keep_it_up_though_no_request_begins():
    world = up_alb_world()
    world.metrics.put(Series(world.ref, GuardMetric.NETWORK_BYTES), GUARD_ABOVE * 10)
    world.order.clear()
    world.pass_time(30 * MINUTES)
    assert world.did == []
    assert world.rule.status.reason is Reason.GUARDED


def test_metrics_are_read_when_the_idle_time_could_be_over_and_never_while_it_is_down():
    world = up_alb_world()
    assert world.alb_metrics.calls == 0
    world.pass_time(IDLE - MINUTES)
    assert world.alb_metrics.calls == 0
    until(world, RuleState.DOWN)
    read = world.alb_metrics.calls
    assert 0 < read < 20
    world.pass_time(120 * MINUTES)
    assert world.alb_metrics.calls == read


def test_a_dry_run_moves_no_traffic():
    world = up_alb_world()
    world.change("ru_1", dry_run=True)
    world.order.clear()
    world.pass_time(30 * MINUTES)
    assert world.did == []


def test_a_rule_that_is_disabled_during_a_diversion_has_its_traffic_back():
    world = up_alb_world()
    until_diverted(world)
    world.change("ru_1", enabled=False)
    world.pass_time(MINUTES)
    assert world.position is Position.INSTANCES
    assert world.stops() == []


def test_an_alb_that_cannot_be_looked_at_leaves_everything_as_it_is():
    world = up_alb_world()
    world.order.clear()
    for _ in range(200):
        world.elb.fail_next.append(CloudError("AccessDenied", "no"))
    world.pass_time(20 * MINUTES)
    assert world.did == []
    assert world.rule.status.reason is Reason.BLIND


def test_a_listener_rule_that_is_made_after_the_first_look_has_its_traffic_put_within_the_minute():
    world = AlbWorld()
    made = world.elb.rules.pop(world.listener_rule)
    world.pass_time(30 * MINUTES)
    assert (world.state, world.did) == (RuleState.DOWN, [])
    world.elb.rules[world.listener_rule] = made
    world.pass_time(2 * MINUTES)
    assert world.position is Position.FUNCTION


def test_a_rule_that_only_redirects_is_not_looked_at_for_listener_rules_that_it_never_has():
    elsewhere = HttpRoute(("old.example.com",), action="redirect", target_port=None)
    world = AlbWorld(http=(elsewhere,))
    world.elb.rules.clear()
    world.pass_time(30 * MINUTES)
    assert world.elb.calls["look"] < 5


def test_another_load_balancer_beside_it_is_asked_about_once():
    world = up_alb_world()
    assert world.watch_albs.others == set()
    world.add_rule("ru_2", "i-00000002", load_balancer_id="lb_1")
    world.pass_time(3 * MINUTES)
    assert world.watch_albs.others == {"lb_1"}
