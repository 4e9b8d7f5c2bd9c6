"""Properties of the core under any interleaving of activity, ticks, overrides, losses and failures."""

from __future__ import annotations

import random
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chalicelib.domain.activity import Heartbeat, Proof, Span, advance
from chalicelib.domain.decisions import AT_REST
from chalicelib.domain.errors import ConflictError
from chalicelib.domain.guards import Guard, GuardMetric
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import OverrideKind, RuleState
from chalicelib.usecases.heartbeat import Heartbeat as Beats
from tests.unit.world import IDLE, World

SECONDS = timedelta(seconds=1)
STEPS = st.sampled_from([10, 45, 120, 400])


class Life(RuleBasedStateMachine):
    """One rule lives through anything. What it must never do is checked at the moment of each StopInstances."""

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world = World(chaos=self.chance, guards=(Guard(GuardMetric.SSM_SESSION, 0, timedelta(minutes=10)),))
        self.beats = Beats(self.world.stores.rules, self.world.stores.activity, self.world.clock)
        self.used_at = self.beat_at = None
        self.world.watch(lambda _: None, lambda _: self.check_stop())
        self.world.pass_time(10 * SECONDS)

    def check_stop(self) -> None:
        now = self.world.clock.now()
        override = self.world.rule.status.override
        if override and override.in_force(now) and override.kind is OverrideKind.COOL_DOWN:
            return
        assert not (override and override.in_force(now)), "stopped against a warm-up"
        (source,) = self.world.stores.proxies.sources("lb_1")
        assert not source.is_silent(now), "stopped blind"
        used = max((at for at in (self.used_at, self.world.rule.status.woken_at) if at), default=None)
        if used is not None:
            assert now >= used + IDLE, "stopped inside the idle window"
        assert self.beat_at is None or now >= self.beat_at + IDLE, "stopped while a job runs"
        assert not self.world.sessions.open([self.world.ref])[self.world.ref], "stopped with a session open"

    @rule(seconds=STEPS)
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(seconds * SECONDS)

    @rule()
    def somebody_comes(self) -> None:
        self.world.wake()

    @rule()
    def bytes_pass(self) -> None:
        if self.world.instance.state is ResourceState.RUNNING:
            self.world.agent.use()
            self.used_at = self.world.clock.now()

    @rule()
    def a_job_runs(self) -> None:
        self.beats.post("ru_1")
        self.beat_at = self.world.clock.now()

    @rule(count=st.sampled_from([0, 1]))
    def a_session(self, count: int) -> None:
        self.world.sessions.counts[self.world.ref] = count

    @rule()
    def log_lines_are_late(self) -> None:
        if self.world.agent.late is None:
            self.world.agent.late = []

    @rule()
    def late_log_lines_arrive(self) -> None:
        self.world.agent.catch_up(self.chance)

    @rule(lost=st.booleans())
    def next_heartbeat(self, lost: bool) -> None:
        if lost:
            self.world.agent.lose.add(self.world.agent.seq + 1)

    @rule(mute=st.booleans())
    def subscription(self, mute: bool) -> None:
        self.world.agent.mute = mute

    @rule(minutes=st.sampled_from([1, 10]), force=st.booleans())
    def cool_down(self, minutes: int, force: bool) -> None:
        try:
            self.world.overrides.cool_down(
                "ru_1", minutes=minutes, force=force, propagate=False, by="ak_1", reason=None
            )
        except ConflictError:
            assert not force

    @rule(minutes=st.sampled_from([1, 10]))
    def warm_up(self, minutes: int) -> None:
        self.world.overrides.warm_up("ru_1", minutes=minutes, by="ak_1", reason=None)

    @rule(what=st.sampled_from(["falls back", "start refused", "stop refused", "slow boot"]))
    def aws_fails(self, what: str) -> None:
        instance = self.world.instance
        if what == "falls back":
            instance.falls_back = "Client.InternalError: Client error on launch"
        elif what == "start refused":
            instance.refuse_start.append(("InsufficientInstanceCapacity", "None left"))
        elif what == "stop refused":
            instance.refuse_stop.append(("IncorrectInstanceState", "Not now"))
        else:
            instance.boot = timedelta(minutes=4)

    @rule(up=st.booleans())
    def a_person_at_the_console(self, up: bool) -> None:
        if up and self.world.instance.state is ResourceState.STOPPED:
            self.world.cloud.start_by_hand(self.world.ref)
        elif not up and self.world.instance.state is ResourceState.RUNNING:
            self.world.cloud.stop_by_hand(self.world.ref)

    @rule()
    def a_worker_dies(self) -> None:
        """Whatever was waiting for it is lost."""
        self.world.queue.waiting.clear()

    @invariant()
    def nothing_is_violated(self) -> None:
        if hasattr(self, "world"):
            assert self.world.violations == []

    @invariant()
    def no_start_storm(self) -> None:
        if hasattr(self, "world"):
            hour = self.world.clock.now() - timedelta(hours=1)
            for name in ("start", "stop"):
                calls = [at for at, what in self.world.asked if what == name and at > hour]
                assert len(calls) <= 40, (name, calls)

    def teardown(self) -> None:
        """Once the world holds still, the rule converges: nobody uses it, so it is down, and nothing is claimed."""
        if not hasattr(self, "world"):
            return
        self.world.agent.mute = False
        self.world.agent.lose.clear()
        self.world.agent.catch_up(self.chance)
        self.world.sessions.counts.clear()
        self.world.instance.refuse_start.clear()
        self.world.instance.refuse_stop.clear()
        self.world.instance.falls_back = None
        self.world.queue._chaos = None
        self.world.pass_time(timedelta(minutes=90), step=10 * SECONDS)
        if self.world.instance.state is not ResourceState.STOPPED:
            # A start by hand of which nobody told: the rule, at rest, is not looked at before that.
            self.world.pass_time(AT_REST, step=timedelta(minutes=1))
            self.world.pass_time(timedelta(minutes=30), step=10 * SECONDS)
        assert self.world.state is RuleState.DOWN, self.world.rule.status
        assert self.world.instance.state is ResourceState.STOPPED
        assert self.world.rule.status.claim is None
        assert not self.world.agent.diverts()
        assert self.world.violations == []


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


@given(st.data())
def test_a_watermark_never_passes_a_hole_nor_now_under_any_order_and_repetition(data: st.DataObject) -> None:
    start = World().clock.now()
    count = data.draw(st.integers(2, 12))
    beats = [Heartbeat("m", n, start + n * SECONDS, start + (n + 1) * SECONDS) for n in range(count)]
    lost = data.draw(st.integers(1, count - 1))
    sent = [beat for beat in beats if beat.seq != lost]
    arrivals = data.draw(st.lists(st.sampled_from(sent), min_size=1, max_size=40))
    received = start + data.draw(st.integers(1, 20)) * SECONDS
    proof = Proof(Span(start, start))
    for beat in arrivals:
        before = proof.span
        proof = advance(proof, beat, received).proof
        assert proof.span is not None
        assert before is None or proof.span.end >= before.end
        assert proof.span.end <= start + lost * SECONDS
        assert proof.span.end <= max(received, start)


@given(st.permutations(range(12)), st.integers(0, 3))
def test_heartbeats_in_any_order_prove_the_same_as_in_order_and_leave_nothing_to_send_again(order, repeated) -> None:
    start = World().clock.now()
    beats = [Heartbeat("m", n, start + n * SECONDS, start + (n + 1) * SECONDS) for n in range(12)]
    proof = Proof(Span(start, start))
    for n in [*order[:repeated], *order]:
        proof = advance(proof, beats[n], start + 60 * SECONDS).proof
    assert proof == Proof(Span(start, start + 12 * SECONDS))
    assert proof.missing_from is None


def test_a_hole_that_the_member_admits_starts_the_proof_anew_behind_it() -> None:
    start = World().clock.now()
    beat = Heartbeat("m", 9, start + 60 * SECONDS, start + 120 * SECONDS, hole=True)
    progress = advance(Proof(Span(start, start + 10 * SECONDS)), beat, start + 120 * SECONDS)
    assert progress.proof == Proof(Span(start + 60 * SECONDS, start + 120 * SECONDS))
    assert progress.abandoned
