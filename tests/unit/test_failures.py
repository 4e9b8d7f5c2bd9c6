"""What AWS, proxies and workers do wrong, in memory and in virtual time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.domain.decisions import Reason
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.events import EventKind
from chalicelib.domain.resources import Place, ResourceKind, ResourceState
from chalicelib.domain.rules import RuleState
from chalicelib.ports import ReconcileRequest
from tests.builders import make_rule
from tests.unit.world import IDLE, World, up_world

SECONDS = timedelta(seconds=1)
MINUTES = timedelta(minutes=1)
HERE = Place(ResourceKind.EC2, "us-east-1")


def test_a_rule_of_two_of_which_one_never_starts_is_stopped_when_nobody_uses_it():
    world = World(resource_ids=("i-00000001", "i-00000002"))
    world.cloud.instances[world.cloud.add("i-00000002")].refuse_start.extend([("Unsupported", "Never")] * 1000)
    world.pass_time(10 * SECONDS)
    world.wake()
    world.pass_time(2 * IDLE)
    assert world.instance.state is ResourceState.STOPPED
    assert world.state is RuleState.DOWN


def test_a_rule_that_runs_and_never_accepts_is_failed_and_looked_at_once_a_minute_at_most():
    world = World()
    world.agent.accepts = False
    world.pass_time(10 * SECONDS)
    for _ in range(13):
        world.wake()
        world.pass_time(MINUTES)
    assert world.state is RuleState.FAILED
    assert world.rule.status.reason is Reason.HEALTH_FAILED
    before = world.cloud.calls["describe"]
    world.agent.quiet = True
    world.pass_time(2 * MINUTES)
    assert world.cloud.calls["describe"] - before <= 3
    world.agent.quiet, world.agent.accepts = False, None
    world.pass_time(10 * SECONDS)
    assert world.state is RuleState.UP


@pytest.mark.parametrize(("timeout", "state"), [(3, RuleState.FAILED), (None, RuleState.STARTING)])
def test_a_start_is_failed_when_the_time_is_over_that_the_rule_gives_it(timeout, state):
    world = World(start_timeout=timeout and timeout * MINUTES)
    world.agent.accepts = False
    world.pass_time(10 * SECONDS)
    for _ in range(5):
        world.wake()
        world.pass_time(MINUTES)
    assert world.state is state
    assert ("3 minutes" in (world.rule.status.detail or "")) is (timeout == 3)


def test_a_start_that_aws_accepts_and_that_falls_back_is_failed_with_awss_own_reason_and_retried():
    world = World()
    world.instance.falls_back = "Client.InternalError: Client error on launch"
    world.pass_time(10 * SECONDS)
    world.wake()
    world.pass_time(30 * SECONDS)
    assert world.state is RuleState.FAILED
    assert "Client.InternalError" in (world.rule.status.detail or "")
    world.pass_time(3 * MINUTES)
    assert world.state is RuleState.UP
    assert len(world.starts()) == 2


def test_refused_starts_back_off():
    world = World()
    world.instance.refuse_start.extend([("InsufficientInstanceCapacity", "No capacity")] * 100)
    for _ in range(60):
        world.wake()
        world.pass_time(MINUTES)
    assert world.state is RuleState.FAILED
    assert "InsufficientInstanceCapacity" in (world.rule.status.detail or "")
    assert world.cloud.calls["start"] <= 8


def test_a_rule_that_raises_is_sent_again_alone_and_does_not_harm_the_others():
    world = World()
    world.cloud.add("i-00000009")
    world.stores.rules.create(make_rule("ru_9", idle=IDLE, resource_ids=("i-00000009",), http=()), "{}")
    world.pass_time(10 * SECONDS)
    facts = world.stores.activity.facts

    def broken_for_one(rule_id: str):
        if rule_id == "ru_1":
            raise CloudError("InternalServerError", "DynamoDB has a bad day", retryable=True)
        return facts(rule_id)

    world.stores.activity.facts = broken_for_one  # type: ignore[method-assign]
    now = world.clock.now()
    for rule_id in ("ru_1", "ru_9"):
        world.stores.rules.wake(rule_id, now, "test", now)
    world.worker.run(ReconcileRequest(HERE, ("ru_1", "ru_9"), now + MINUTES, "test"))
    assert world.stores.rules.get("ru_9").status.state is RuleState.STARTING
    again = [request for _, request in world.queue.waiting if "ru_1" in request.rule_ids]
    assert [(request.rule_ids, request.attempt) for request in again] == [(("ru_1",), 1)]
    world.clock.advance(MINUTES)
    with pytest.raises(CloudError):
        world.worker.run(replace(again[0], attempt=3, expires_at=world.clock.now() + MINUTES))
    world.stores.activity.facts = facts  # type: ignore[method-assign]
    world.pass_time(2 * MINUTES)
    assert world.state is RuleState.UP


def test_rules_that_aws_does_not_let_us_look_at_say_so_once_and_are_left_alone():
    world = up_world()
    refusal = CloudError("AccessDenied", "not authorized to perform sts:AssumeRole")
    world.cloud.fail_next["describe"].extend([refusal] * 1000)
    world.pass_time(10 * IDLE)
    assert world.rule.status.reason is Reason.UNOBSERVABLE
    assert world.rule.status.state is RuleState.UP
    assert "sts:AssumeRole" in world.rule.status.detail
    told = [event for event in world.history() if event.kind is EventKind.UNOBSERVABLE]
    assert len(told) == 1
    looks = 1000 - len(world.cloud.fail_next["describe"])
    assert looks <= 10 * IDLE / (5 * MINUTES) + 2, "a refusal is not asked for again and again"
    world.cloud.fail_next.clear()
    world.pass_time(10 * MINUTES + IDLE)
    assert world.state is RuleState.DOWN


def test_an_expired_request_is_dropped():
    world = World()
    request = ReconcileRequest(HERE, ("ru_1",), world.clock.now(), "tick")
    world.worker.run(request)
    assert world.cloud.calls["describe"] == 0


def test_an_aws_call_that_raises_leaves_no_claim_behind_and_is_retried():
    world = World()
    world.instance.refuse_start.append(("InternalError", "A bad day"))
    world.pass_time(10 * SECONDS)
    world.wake()
    world.work()
    assert world.state is RuleState.FAILED
    assert world.rule.status.claim is None
    assert "InternalError" in (world.rule.status.detail or "")
    world.pass_time(3 * MINUTES)
    assert world.state is RuleState.UP


def test_throttling_is_no_failure_of_the_rule_and_slows_its_whole_region_down():
    world = World()
    other = world.add_rule("ru_9", "i-00000009")
    world.cloud.fail_next["start"].append(ThrottledError("RequestLimitExceeded", "Slow down"))
    world.pass_time(10 * SECONDS)
    world.wake()
    world.work()
    assert world.state is RuleState.DOWN
    assert world.rule.status.failures == 0
    assert world.rule.status.claim is None
    world.overrides.warm_up("ru_9", minutes=30, by="ak_1", reason=None)
    asked = dict(world.cloud.calls)
    world.work()
    assert world.cloud.calls == asked, "nothing is asked of a region that has just throttled"
    world.pass_time(2 * MINUTES, step=SECONDS)
    assert world.state is RuleState.UP
    assert world.cloud.instances[other].state is ResourceState.RUNNING


def test_a_region_that_throttles_again_and_again_is_asked_ever_less_often():
    world = World()
    world.pass_time(10 * SECONDS)
    world.cloud.fail_next["describe"].extend([ThrottledError("RequestLimitExceeded", "Slow down")] * 1000)
    before = world.cloud.calls["describe"]
    world.wake()
    world.pass_time(30 * MINUTES)
    assert world.cloud.calls["describe"] - before <= 14


def test_terminated_resources_are_reported_and_nothing_is_started():
    world = up_world()
    world.cloud.terminate(world.ref)
    world.pass_time(5 * MINUTES)
    assert world.state is RuleState.FAILED
    assert world.rule.status.reason is Reason.RESOURCES_GONE
    assert len(world.starts()) == 1


def test_a_resource_that_was_terminated_is_reported_once_and_left_out_while_the_others_live_on():
    world = World(resource_ids=("i-00000001", "i-00000002"))
    other = world.cloud.add("i-00000002")
    world.pass_time(10 * SECONDS)
    world.wake()
    world.pass_time(MINUTES)
    world.cloud.terminate(other)
    world.pass_time(4 * IDLE)
    assert world.state is RuleState.DOWN
    world.wake()
    world.pass_time(MINUTES)
    assert world.state is RuleState.UP
    told = [event for event in world.history() if event.kind is EventKind.RESOURCE_GONE]
    assert [event.words.split()[0] for event in told] == ["i-00000002"]


def test_when_nothing_of_a_rule_is_left_it_says_so_once():
    world = up_world()
    world.cloud.terminate(world.ref)
    world.pass_time(10 * IDLE)
    assert world.rule.status.reason is Reason.RESOURCES_GONE
    assert len([event for event in world.history() if event.reason == Reason.RESOURCES_GONE]) == 1
