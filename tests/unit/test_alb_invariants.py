"""Properties of a rule on an ALB under any interleaving of visits, lateness, refusals and orders."""

from __future__ import annotations

import random
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chalicelib.domain.alb_traffic import Position
from chalicelib.domain.errors import CloudError, ConflictError, ThrottledError
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import OverrideKind, RuleState
from tests.unit.alb_world import PLACE, up_alb_world
from tests.unit.world import IDLE

SECONDS = timedelta(seconds=1)
STEPS = st.sampled_from([10, 45, 120, 400])


class AlbLife(RuleBasedStateMachine):
    """What must never happen is checked at the moment of each StopInstances, and of each visit."""

    @initialize(seed=st.integers(0, 10_000), settles=st.sampled_from([0, 10, 50]))
    def begin(self, seed: int, settles: int) -> None:
        self.world = up_alb_world(random.Random(seed))
        self.world.elb.settles = settles * SECONDS
        self.used_at = None
        self.world.watch(lambda _: None, lambda _: self.check_stop())

    def check_stop(self) -> None:
        now = self.world.clock.now()
        override = self.world.rule.status.override
        if override and override.in_force(now) and override.force:
            return
        assert self.world.elb.serves(PLACE, "ru_1") is Position.FUNCTION, "stopped under traffic"
        if override and override.in_force(now):
            assert override.kind is OverrideKind.COOL_DOWN, "stopped against a warm-up"
            return
        used = max((at for at in (self.used_at, self.world.rule.status.woken_at) if at), default=None)
        assert used is None or now >= used + IDLE, "stopped inside the idle window"

    @rule(seconds=STEPS)
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(seconds * SECONDS)

    @rule()
    def somebody_comes(self) -> None:
        if self.world.visit() is Position.INSTANCES:
            self.used_at = self.world.clock.now()

    @rule(lag=st.sampled_from([0, 2, 5, 9]))
    def cloudwatch_is_late(self, lag: int) -> None:
        self.world.alb_metrics.lag = timedelta(minutes=lag)

    @rule(silent=st.booleans())
    def cloudwatch_has_nothing_new(self, silent: bool) -> None:
        self.world.alb_metrics.through = self.world.clock.now() if silent else None

    @rule(what=st.sampled_from(["metrics", "look", "change", "slow change", "stop"]))
    def aws_refuses(self, what: str) -> None:
        no = CloudError("AccessDenied", "no")
        if what == "metrics":
            self.world.alb_metrics.fail_next.append(no)
        elif what == "look":
            self.world.elb.fail_next.append(no)
        elif what == "change":
            self.world.elb.refuse_next.append(no)
        elif what == "slow change":
            self.world.elb.refuse_next.append(ThrottledError("Throttling", "slow down"))
        else:
            self.world.instance.refuse_stop.append(("IncorrectInstanceState", "Not now"))

    @rule(force=st.booleans())
    def cool_down(self, force: bool) -> None:
        try:
            self.world.overrides.cool_down("ru_1", minutes=5, force=force, propagate=False, by="ak_1", reason=None)
        except ConflictError:
            assert not force

    @rule()
    def warm_up(self) -> None:
        self.world.overrides.warm_up("ru_1", minutes=5, by="ak_1", reason=None)

    @rule()
    def a_worker_dies(self) -> None:
        self.world.queue.waiting.clear()

    @invariant()
    def nothing_is_violated(self) -> None:
        if hasattr(self, "world"):
            assert self.world.violations == []

    def teardown(self) -> None:
        """Once the world holds still, it converges: nobody comes, so it is down and its traffic is at the function."""
        if not hasattr(self, "world"):
            return
        self.world.alb_metrics.lag, self.world.alb_metrics.through = timedelta(minutes=2), None
        self.world.alb_metrics.fail_next.clear()
        self.world.elb.fail_next.clear()
        self.world.elb.refuse_next.clear()
        self.world.instance.refuse_stop.clear()
        self.world.queue._chaos = None
        self.world.pass_time(timedelta(minutes=90), step=10 * SECONDS)
        assert self.world.state is RuleState.DOWN, self.world.rule.status
        assert self.world.instance.state is ResourceState.STOPPED
        assert self.world.position is Position.FUNCTION
        assert self.world.visit() is Position.FUNCTION
        self.world.pass_time(timedelta(minutes=3), step=5 * SECONDS)
        assert (self.world.state, self.world.position) == (RuleState.UP, Position.INSTANCES)
        assert self.world.violations == []


TestAlbLife = AlbLife.TestCase
TestAlbLife.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
