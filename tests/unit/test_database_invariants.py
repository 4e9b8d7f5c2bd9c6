"""Properties of databases under any interleaving: AWS at work, its restarts, people, traffic, losses."""

from __future__ import annotations

import random
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chalicelib.domain.errors import ConflictError
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import OverrideKind, RuleState
from chalicelib.domain.upkeep import LEAD, MaintenanceWindow
from tests.unit.database_world import DAY, IDLE, MINUTE, DatabaseWorld

SECONDS = timedelta(seconds=1)
WORK = ["backing-up", "modifying", "maintenance", "rebooting", "storage-optimization", "upgrading"]


class DatabaseLife(RuleBasedStateMachine):
    """One database lives through anything. What must never happen is checked when AWS is asked to stop it."""

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world = DatabaseWorld(chaos=self.chance)
        self.used_at = None
        stop = self.world.databases.stop
        self.violations: list[str] = []

        def watched(refs, **how):
            try:
                self.check_stop()
            except AssertionError as error:
                self.violations.append(str(error))
            return stop(refs, **how)

        self.world.databases.stop = watched
        self.world.pass_time(10 * SECONDS)

    def check_stop(self) -> None:
        now, database = self.world.clock.now(), self.world.database
        assert database.status == "available", f"asked to stop what is {database.status}"
        window = database.window
        if database.pending and window is not None:
            monday = (now.timestamp() - 4 * 86400) % (7 * 86400)  # the epoch was a Thursday
            into = (monday - (window.start - LEAD).total_seconds()) % (7 * 86400)
            assert into >= (LEAD + window.length).total_seconds(), "stopped within or just before maintenance"
        override = self.world.rule.status.override
        if override and override.in_force(now) and override.kind is OverrideKind.COOL_DOWN:
            return
        assert not (override and override.in_force(now)), "stopped against a warm-up"
        (source,) = self.world.stores.proxies.sources("lb_1")
        assert not source.is_silent(now), "stopped blind"
        used = max((at for at in (self.used_at, self.world.rule.status.woken_at) if at), default=None)
        assert used is None or now >= used + IDLE, "stopped inside the idle window"

    @rule(seconds=st.sampled_from([10, 60, 300, 1500]))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(seconds * SECONDS)

    @rule(days=st.integers(1, 8))
    def days_pass(self, days: int) -> None:
        self.world.pass_time(days * DAY, step=10 * MINUTE)
        self.world.pass_time(10 * MINUTE)

    @rule()
    def somebody_comes(self) -> None:
        self.world.wake()

    @rule()
    def bytes_pass(self) -> None:
        if self.world.database.status == "available":
            self.used_at = self.world.clock.now()
            self.world.agent.use()

    @rule(status=st.sampled_from(WORK), minutes=st.integers(1, 60))
    def aws_works(self, status: str, minutes: int) -> None:
        if self.world.database.status == "available":
            self.world.databases.becomes(self.world.db, status, for_=minutes * MINUTE)

    @rule(ahead=st.integers(-40, 60), pending=st.booleans())
    def maintenance_is_planned(self, ahead: int, pending: bool) -> None:
        start = self.world.clock.now() + ahead * MINUTE
        end = start + 30 * MINUTE
        self.world.database.window = MaintenanceWindow.of(f"{start:%a:%H:%M}-{end:%a:%H:%M}")
        self.world.database.pending = pending

    @rule(up=st.booleans())
    def a_person_at_the_console(self, up: bool) -> None:
        if up and self.world.database.status == "stopped":
            self.world.databases.start_by_hand(self.world.db)
        elif not up and self.world.database.status == "available":
            self.world.databases.stop_by_hand(self.world.db)

    @rule(minutes=st.sampled_from([1, 10]), force=st.booleans())
    def cool_down(self, minutes: int, force: bool) -> None:
        try:
            self.world.overrides.cool_down(
                "ru_1", minutes=minutes, force=force, propagate=False, by="ak_1", reason=None
            )
        except ConflictError:
            assert not force

    @rule()
    def aws_says_that_it_restarts_it(self) -> None:
        """Its event, true or late or twice."""
        self.world.state_change.run((self.world.db,), by_aws=True)

    @rule(code=st.sampled_from(["InvalidDBInstanceState", "InsufficientDBInstanceCapacity"]))
    def aws_refuses(self, code: str) -> None:
        self.world.database.refuse_stop.append((code, "Not now"))
        self.world.database.refuse_start.append((code, "Not now"))

    @rule()
    def a_worker_dies(self) -> None:
        self.world.queue.waiting.clear()

    @rule(mute=st.booleans())
    def the_agent_is_cut_off(self, mute: bool) -> None:
        self.world.agent.mute = mute

    @invariant()
    def nothing_is_violated(self) -> None:
        if hasattr(self, "world"):
            assert self.violations == []

    def teardown(self) -> None:
        """Once the world holds still, nobody uses the database: it is down."""
        if not hasattr(self, "world"):
            return
        self.world.agent.mute = False
        self.world.database.pending = False
        self.world.database.refuse_stop.clear()
        self.world.database.refuse_start.clear()
        self.world.queue._chaos = None
        self.world._chaos = None
        for _ in range(3):
            self.world.pass_time(150 * MINUTE, step=10 * SECONDS)
            if self.world.instance.state is ResourceState.STOPPED:
                break
            self.world.pass_time(8 * 60 * MINUTE, step=5 * MINUTE)
        assert self.world.instance.state is ResourceState.STOPPED, self.world.rule.status
        assert self.world.state is RuleState.DOWN
        assert self.violations == []


TestDatabaseLife = DatabaseLife.TestCase
TestDatabaseLife.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
