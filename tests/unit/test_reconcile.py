"""The main job, in memory and in virtual time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.decisions import Action, Reason
from chalicelib.domain.drains import Drain
from chalicelib.domain.errors import LostClaimError
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import RuleState
from tests.unit.world import BEAT, IDLE, World, up_world

SECONDS = timedelta(seconds=1)
MINUTES = timedelta(minutes=1)


def test_a_rule_that_nobody_uses_stays_down():
    world = World()
    world.pass_time(30 * MINUTES)
    assert world.state is RuleState.DOWN
    assert world.starts() == []


def test_a_wake_starts_it_and_it_is_up_when_it_runs_and_accepts():
    world = World()
    world.pass_time(10 * SECONDS)
    world.wake()
    world.work()
    assert world.state is RuleState.STARTING
    world.pass_time(10 * SECONDS)
    assert world.instance.state is ResourceState.PENDING
    assert world.state is RuleState.STARTING
    world.pass_time(30 * SECONDS)
    assert world.state is RuleState.UP
    assert len(world.starts()) == 1


def test_a_burst_of_wakes_costs_one_start_and_one_message():
    world = World()
    for _ in range(1000):
        world.wake()
    assert world.queue.sent == 1
    world.work()
    assert len(world.starts()) == 1


def test_it_stops_after_the_idle_time_and_the_evidence_for_it_and_not_before():
    world = up_world()
    world.agent.use()
    used_at = world.clock.now()
    world.pass_time(20 * MINUTES)
    assert world.state is RuleState.DOWN
    (stopped_at,) = world.stops()
    assert stopped_at >= used_at + IDLE
    assert stopped_at <= used_at + IDLE + 2 * MINUTES


def test_it_diverts_before_it_stops_and_the_evidence_covers_time_after_the_diversion():
    world = up_world()
    diverted_at = None
    while not world.stops():
        world.pass_time(5 * SECONDS)
        if diverted_at is None and world.agent.diverts():
            diverted_at = world.clock.now()
    (source,) = world.stores.proxies.sources("lb_1")
    assert diverted_at is not None
    assert source.span.end >= diverted_at


def test_use_during_the_diversion_cancels_the_stop():
    world = up_world()
    while not world.agent.diverts():
        world.pass_time(5 * SECONDS, step=SECONDS)
    world.wake()
    world.pass_time(2 * MINUTES)
    assert world.stops() == []
    assert world.state is RuleState.UP
    assert not world.agent.diverts()


def test_a_wake_while_aws_is_stopping_starts_again_as_soon_as_aws_allows():
    world = up_world()
    while not world.stops():
        world.pass_time(5 * SECONDS)
    assert world.instance.state is ResourceState.STOPPING
    world.wake()
    world.pass_time(2 * MINUTES)
    assert world.state is RuleState.UP
    assert len(world.starts()) == 2


def test_a_start_ends_the_diversion_at_once_so_that_nobody_is_held_from_a_guest_that_runs():
    world = up_world()
    while not world.stops():
        world.pass_time(5 * SECONDS)
    world.instance.halt = world.instance.boot = timedelta(0)
    world.wake()
    while len(world.starts()) < 2:
        world.pass_time(SECONDS, step=SECONDS)
    world.agent.poll()
    assert not world.agent.diverts()


def test_a_proxy_that_falls_silent_keeps_the_rule_up_and_says_blind():
    world = up_world()
    world.agent.mute = True
    world.pass_time(60 * MINUTES)
    assert world.stops() == []
    explanation = world.explain.run("ru_1")
    assert explanation.decision.reason is Reason.BLIND
    assert "i-proxy has proven nothing for 3" in explanation.decision.words
    assert world.rule.status.reason is Reason.BLIND


def test_a_rule_without_any_source_is_never_stopped_by_idleness():
    world = World(load_balancer_id=None, http=(), tcp=())
    world.cloud.start_by_hand(world.ref)
    world.pass_time(60 * MINUTES)
    assert world.stops() == []
    assert world.rule.status.reason is Reason.NO_SOURCE


def test_a_lost_heartbeat_keeps_the_watermark_before_the_hole_until_the_agent_sends_it_again():
    world = up_world()
    lost = world.agent.seq + 1
    world.agent.lose.add(lost)
    (before,) = world.stores.proxies.sources("lb_1")
    world.agent.through = before.span.end
    world.clock.advance(BEAT)
    world.agent.beat()
    world.clock.advance(BEAT)
    world.agent.beat()
    (after,) = world.stores.proxies.sources("lb_1")
    assert after.span == before.span
    assert world.stores.proxies.poll("lb_1").resend_from == {"i-proxy": before.span.end}
    assert world.stops() == []
    world.agent.poll()
    (mended,) = world.stores.proxies.sources("lb_1")
    assert mended.span.end == world.clock.now()
    assert world.stores.proxies.poll("lb_1").resend_from == {}


def test_activity_in_a_lost_heartbeat_is_not_forgotten():
    world = up_world()
    world.pass_time(IDLE - 30 * SECONDS)
    world.agent.lose.add(world.agent.seq + 1)
    world.agent.use()
    used_at = world.clock.now()
    world.pass_time(30 * MINUTES)
    assert world.stops()[0] >= used_at + IDLE


def test_a_member_whose_clock_runs_an_hour_fast_proves_nothing_beyond_now():
    world = up_world()
    world.agent.skew = timedelta(hours=1)
    world.pass_time(60 * MINUTES)
    assert world.stops() == []
    assert world.rule.status.reason is Reason.BLIND
    kinds = {event.kind for event in world.stores.events.all(world.rule.created_at, world.clock.now(), 1000).items}
    assert "clock_skew" in kinds


def test_two_reconciles_at_once_send_one_stop_and_no_error():
    world = up_world()
    while not world.agent.diverts():
        world.pass_time(5 * SECONDS, step=SECONDS)
    world.clock.advance(2 * SECONDS)
    world.agent.beat()
    rule = world.rule
    seen = world.worker.observer.look([rule], world.clock.now())
    world.worker.reconcile(rule, seen)
    with pytest.raises(LostClaimError):
        world.worker.reconcile(rule, seen)
    assert len(world.stops()) == 1
    kinds = {event.kind for event in world.stores.events.all(rule.created_at, world.clock.now(), 1000).items}
    assert not {kind for kind in kinds if "refused" in kind or "failed" in kind}


def test_a_wake_between_observation_and_stop_wins():
    world = up_world()
    while not world.agent.diverts():
        world.pass_time(5 * SECONDS, step=SECONDS)
    world.clock.advance(2 * SECONDS)
    world.agent.beat()
    rule = world.rule
    seen = world.worker.observer.look([rule], world.clock.now())
    world.wake()
    with pytest.raises(LostClaimError):
        world.worker.reconcile(rule, seen)
    assert world.stops() == []


@pytest.mark.parametrize("interrupted", ["sources", "facts"])
def test_use_that_is_stored_while_the_evidence_is_read_is_never_overlooked(interrupted):
    world = up_world()
    while not world.agent.diverts():
        world.pass_time(5 * SECONDS, step=SECONDS)
    world.clock.advance(2 * SECONDS)
    world.agent.beat()
    store = world.stores.proxies if interrupted == "sources" else world.stores.activity
    read = getattr(store, interrupted)

    def read_while_somebody_uses_it(key: str):
        setattr(store, interrupted, read)
        world.agent.use()
        world.clock.advance(SECONDS)
        world.agent.beat()
        return read(key)

    setattr(store, interrupted, read_while_somebody_uses_it)
    rule = world.rule
    world.worker.reconcile(rule, world.worker.observer.look([rule], world.clock.now()))
    assert world.stops() == []


def test_a_worker_that_dies_between_stop_and_record_is_taken_over():
    world = up_world()
    while not world.agent.diverts():
        world.pass_time(5 * SECONDS, step=SECONDS)
    world.clock.advance(2 * SECONDS)
    world.agent.beat()

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    rule, record = world.rule, world.stores.rules.record
    world.stores.rules.record = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.worker.reconcile(rule, world.worker.observer.look([rule], world.clock.now()))
    world.stores.rules.record = record  # type: ignore[method-assign]
    assert len(world.stops()) == 1
    assert world.rule.status.claim is not None
    world.pass_time(5 * MINUTES)
    assert world.state is RuleState.DOWN
    assert world.rule.status.claim is None
    assert len(world.stops()) == 1


def test_a_wake_while_a_stop_is_being_carried_out_is_not_lost():
    world = up_world()
    while not world.agent.diverts():
        world.pass_time(5 * SECONDS, step=SECONDS)
    world.clock.advance(6 * SECONDS)
    world.agent.beat()
    stop = world.cloud.stop

    def stop_while_somebody_comes(refs, **how):
        outcomes = stop(refs, **how)
        world.clock.advance(SECONDS)
        world.wake()
        return outcomes

    world.cloud.stop = stop_while_somebody_comes  # type: ignore[method-assign]
    rule = world.rule
    world.worker.reconcile(rule, world.worker.observer.look([rule], world.clock.now()))
    world.cloud.stop = stop  # type: ignore[method-assign]
    assert len(world.stops()) == 1
    assert world.rule.status.due_at == world.clock.now()
    world.pass_time(2 * MINUTES)
    assert world.state is RuleState.UP


def test_a_look_that_changes_nothing_writes_no_event():
    world = up_world()
    before = len(world.stores.events.all(world.rule.created_at, world.clock.now(), 1000).items)
    for _ in range(6):
        world.agent.use()
        world.pass_time(20 * SECONDS)
    after = len(world.stores.events.all(world.rule.created_at, world.clock.now(), 1000).items)
    assert after == before


def test_a_decision_carries_reason_evidence_and_when_to_look_again():
    world = up_world()
    decision = world.explain.run("ru_1").decision
    assert decision.action is Action.NOTHING
    assert decision.until > world.clock.now()
    assert {row.source for row in decision.evidence} >= {"ec2 i-00000001", "proxy i-proxy"}


def test_a_member_that_missed_the_renewal_of_a_drain_is_not_believed_to_divert_for_longer_than_it_does():
    start = START
    minute = timedelta(minutes=1)
    first = Drain(start, start + minute, 5)
    assert first.holds_on(5, start)
    assert not first.holds_on(4, start)
    assert not first.holds_on(5, start + minute)
    renewed = first.renewed(7, start + 2 * minute)
    assert renewed.since == start
    assert renewed.holds_on(7, start + minute)
    assert renewed.holds_on(6, start)
    assert not renewed.holds_on(6, start + minute), "what it has ends by itself"
    assert not renewed.renewed(9, start + 3 * minute).holds_on(6, start)
