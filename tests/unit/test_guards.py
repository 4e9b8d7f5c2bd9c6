"""Guards veto the stop that idleness alone wants, and a guard that cannot be read vetoes too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.domain.decisions import Reason
from chalicelib.domain.errors import CloudError
from chalicelib.domain.guards import LAG, Guard, GuardMetric, Sample, judge
from chalicelib.domain.resources import ResourceKind, ResourceRef
from chalicelib.domain.rules import RuleState
from chalicelib.ports import Series
from chalicelib.usecases.heartbeat import Heartbeat
from tests.unit.world import IDLE, World

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
FIVE = timedelta(minutes=5)
CPU = Guard(GuardMetric.CPU, 20, timedelta(minutes=10))
REF = ResourceRef(ResourceKind.EC2, "us-east-1", "i-1")
OTHER = ResourceRef(ResourceKind.EC2, "us-east-1", "i-2")


def points(*values: float | None, newest: datetime = NOW - FIVE) -> tuple[Sample, ...]:
    """Five-minute points, the last of which begins at `newest`; None is a missing one."""
    count = len(values)
    return tuple(
        Sample(newest - (count - 1 - n) * FIVE, FIVE, value) for n, value in enumerate(values) if value is not None
    )


def test_quiet_over_the_whole_window_is_quiet_up_to_the_newest_point():
    reading = judge(CPU, {REF: points(1, 2, 3)}, NOW)
    assert not reading.vetoes
    assert reading.covers_until == NOW


def test_what_is_exactly_at_the_threshold_is_quiet():
    assert not judge(CPU, {REF: points(20, 20)}, NOW).vetoes


@pytest.mark.parametrize("values", [(1, 90, 1), (1, 1, 20.1), (90, 1, 1, 1)])
def test_any_busy_point_that_the_window_could_hold_vetoes_and_is_named(values):
    reading = judge(CPU, {REF: points(*values)}, NOW)
    assert reading.vetoes
    assert "i-1 had" in reading.words
    assert "% CPU" in reading.words


@pytest.mark.parametrize(
    "samples",
    [(), points(1), points(1, None, 1), points(1, 1, newest=NOW - LAG - 2 * FIVE)],
    ids=["none", "too short", "a hole", "too old"],
)
def test_what_is_not_known_vetoes(samples):
    reading = judge(CPU, {REF: samples}, NOW)
    assert reading.vetoes
    assert "is not known" in reading.words


def test_every_resource_has_to_be_quiet():
    assert judge(CPU, {REF: points(1, 1), OTHER: points(1, 50)}, NOW).vetoes
    assert judge(CPU, {REF: points(1, 1), OTHER: ()}, NOW).vetoes


@given(st.lists(st.tuples(st.one_of(st.none(), st.floats(0, 100)), st.booleans()), max_size=12))
@example([(0, True), (0, True), (None, False), (0, False)])
def test_a_missing_point_never_makes_quiet_of_what_was_not(values):
    whole = points(*(value for value, _ in values))
    fewer = points(*(value if kept else None for value, kept in values))
    if judge(CPU, {REF: whole}, NOW).vetoes and not any(sample.value > CPU.above for sample in whole):
        assert judge(CPU, {REF: fewer}, NOW).vetoes


# Carried out, in virtual time


def guarded_world(*guards: Guard) -> World:
    world = World(guards=guards)
    world.pass_time(timedelta(seconds=10))
    world.wake()
    world.pass_time(timedelta(minutes=1))
    assert world.state is RuleState.UP
    return world


def test_a_busy_processor_keeps_an_idle_rule_up_until_it_is_quiet():
    world = guarded_world(CPU)
    world.metrics.put(Series(world.ref, GuardMetric.CPU), 80)
    world.pass_time(timedelta(hours=1))
    assert world.stops() == []
    assert world.rule.status.reason is Reason.GUARDED
    assert "i-00000001 had 80 % CPU" in (world.rule.status.detail or "")
    world.metrics.put(Series(world.ref, GuardMetric.CPU), 2)
    world.pass_time(timedelta(hours=1))
    assert world.state is RuleState.DOWN
    world.wake()
    world.pass_time(timedelta(minutes=2))
    assert world.state is RuleState.UP


def test_metrics_are_asked_for_only_when_the_rule_would_be_stopped_and_never_while_it_is_down():
    world = guarded_world(CPU)
    for _ in range(10):
        world.agent.use()
        world.pass_time(timedelta(minutes=1))
    assert world.metrics.asked == 0
    world.pass_time(timedelta(minutes=20))
    assert world.state is RuleState.DOWN
    asked = world.metrics.asked
    assert asked <= 6
    world.pass_time(timedelta(hours=2))
    assert world.metrics.asked == asked


def test_missing_points_and_failing_reads_veto():
    world = guarded_world(CPU)
    world.metrics.put(Series(world.ref, GuardMetric.CPU), None)
    for _ in range(20):
        world.agent.use()
        world.pass_time(timedelta(minutes=1))
    world.pass_time(timedelta(hours=1))
    assert world.stops() == []
    assert "is not known" in (world.rule.status.detail or "")
    world.metrics.put(Series(world.ref, GuardMetric.CPU), 1)
    world.metrics.fail_next.extend([CloudError("AccessDenied", "No")] * 5)
    world.pass_time(timedelta(hours=1))
    assert world.state is RuleState.DOWN


def test_an_open_session_vetoes_and_so_does_not_knowing():
    world = guarded_world(Guard(GuardMetric.SSM_SESSION, 0, timedelta(minutes=10)))
    world.sessions.counts[world.ref] = 1
    world.pass_time(timedelta(minutes=30))
    assert world.stops() == []
    assert "1 open Session Manager sessions" in (world.rule.status.detail or "")
    world.sessions.counts.clear()
    world.sessions.fail_next.extend([CloudError("AccessDeniedException", "No")] * 3)
    world.pass_time(timedelta(minutes=30))
    assert world.state is RuleState.DOWN


def test_a_jobs_heartbeat_vetoes_for_the_idle_time_also_without_a_guard_and_starts_nothing():
    world = guarded_world()
    heartbeat = Heartbeat(world.stores.rules, world.stores.activity, world.clock)
    for _ in range(30):
        assert heartbeat.post("ru_1") == world.clock.now() + IDLE
        world.pass_time(timedelta(minutes=1))
    assert world.stops() == []
    world.pass_time(timedelta(minutes=15))
    assert world.state is RuleState.DOWN
    heartbeat.post("ru_1")
    world.pass_time(timedelta(minutes=15))
    assert world.state is RuleState.DOWN
    assert len(world.starts()) == 1


def test_guards_veto_idleness_and_not_what_a_person_orders():
    world = guarded_world(CPU)
    world.metrics.put(Series(world.ref, GuardMetric.CPU), 80)
    world.overrides.cool_down("ru_1", minutes=30, force=True, propagate=False, by="ak_1", reason=None)
    world.pass_time(timedelta(minutes=2))
    assert world.state is RuleState.DOWN
