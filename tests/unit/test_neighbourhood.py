"""Three rules that need each other and follow schedules live through anything, with two workers at once.

`ru_1` (behind the proxy) needs `ru_api`, which needs `ru_db`. Checked at the moment of each call to AWS: nothing starts
before what it needs is up, nothing stops while something that needs it is up or starting, against an uptime window, or
against a warm-up. At the end, once the world holds still, everything converges.
"""

from __future__ import annotations

import random
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chalicelib.domain.errors import ConflictError
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import DependsOn, OverrideKind, Rule, RuleState
from chalicelib.domain.schedules import ScheduleKind, verdict
from chalicelib.domain.wall_time import Weekday, WeeklyWindow
from chalicelib.usecases.requests import request_for
from tests.builders import make_schedule
from tests.unit.world import World

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
INSTANCES = {"i-00000001": "ru_1", "i-000000aa": "ru_api", "i-000000db": "ru_db"}
RULES = st.sampled_from(sorted(INSTANCES.values()))
UP = {RuleState.UP, RuleState.STARTING}


def needs(*ids: str) -> tuple[DependsOn, ...]:
    return tuple(DependsOn(id_, 10 * SECOND) for id_ in ids)


class Neighbourhood(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.chaos = random.Random(seed)
        self.world = World(chaos=self.chaos)
        self.world.add_rule("ru_db", "i-000000db")
        self.world.add_rule("ru_api", "i-000000aa", depends_on=needs("ru_db"))
        self.world.change("ru_1", depends_on=needs("ru_api"))
        lunch = (WeeklyWindow(tuple(Weekday), 10 * 3600, 10 * 3600 + 1800),)
        self.world.stores.schedules.create(make_schedule("sc_down", kind=ScheduleKind.DOWNTIME, weekly=lunch))
        self.world.stores.schedules.create(make_schedule("sc_up", weekly=lunch))
        self.world.watch(
            lambda ref: self.check_start(self.rule_of(ref.id)), lambda ref: self.check_stop(self.rule_of(ref.id))
        )
        self.world.pass_time(10 * SECOND)

    def rule_of(self, instance_id: str) -> Rule:
        return self.world.stores.rules.get(INSTANCES[instance_id])

    def check_start(self, rule: Rule) -> None:
        for need in rule.spec.depends_on:
            below = self.world.stores.rules.get(need.rule_id).status
            assert below.state is RuleState.UP, f"{rule.id} started before {need.rule_id} was up"

    def check_stop(self, rule: Rule) -> None:
        now = self.world.clock.now()
        override = rule.status.override
        forced = override and override.in_force(now) and override.force
        if not forced:
            for other in rule.dependents:
                state = self.world.stores.rules.get(other).status.state
                assert state not in UP, f"{rule.id} stopped while {other} was {state}"
        if override and override.in_force(now):
            assert override.kind is OverrideKind.COOL_DOWN, "stopped against a warm-up"
            return
        schedules = tuple(self.world.stores.schedules.get_many(rule.spec.schedule_ids).values())
        said = verdict(schedules, now).schedule
        assert said is None or said.kind is ScheduleKind.DOWNTIME, "stopped in its uptime"

    @rule(seconds=st.sampled_from([10, 45, 120, 600, 1800]))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(seconds * SECOND, step=10 * SECOND)

    @rule()
    def two_workers_at_once(self) -> None:
        """Both have read the same rules, and only then does one after the other act."""
        rules = [self.world.stores.rules.get(id_) for id_ in INSTANCES.values()]
        seen = [self.world.worker.observer.look(rules, self.world.clock.now()) for _ in range(2)]
        for surroundings in seen:
            for each in rules:
                self.world.worker._isolated(each, surroundings, self.request(each.id))

    def request(self, rule_id: str):
        return request_for(self.world.stores.rules.get(rule_id), "test", self.world.clock.now())

    @rule()
    def somebody_comes(self) -> None:
        self.world.wake()

    @rule(id_=RULES, minutes=st.sampled_from([1, 20]))
    def warm_up(self, id_: str, minutes: int) -> None:
        self.world.overrides.warm_up(id_, minutes=minutes, by="ak_1", reason=None)

    @rule(id_=RULES, force=st.booleans(), propagate=st.booleans())
    def cool_down(self, id_: str, force: bool, propagate: bool) -> None:
        try:
            self.world.overrides.cool_down(id_, minutes=10, force=force, propagate=propagate, by="ak_1", reason=None)
        except ConflictError:
            assert not (force and propagate)

    @rule(id_=RULES, schedules=st.sampled_from([(), ("sc_up",), ("sc_down",), ("sc_up", "sc_down")]))
    def its_schedules_change(self, id_: str, schedules: tuple[str, ...]) -> None:
        self.world.change(id_, schedule_ids=schedules)

    @rule(id_=st.sampled_from(sorted(INSTANCES)), what=st.sampled_from(["falls back", "refused", "slow"]))
    def aws_fails(self, id_: str, what: str) -> None:
        instance = next(i for ref, i in self.world.cloud.instances.items() if ref.id == id_)
        if what == "falls back":
            instance.falls_back = "Client.InternalError: Client error on launch"
        elif what == "refused":
            instance.refuse_start.append(("InsufficientInstanceCapacity", "None left"))
        else:
            instance.boot = timedelta(minutes=3)

    @rule(id_=st.sampled_from(sorted(INSTANCES)), up=st.booleans())
    def a_person_at_the_console(self, id_: str, up: bool) -> None:
        ref, instance = next((r, i) for r, i in self.world.cloud.instances.items() if r.id == id_)
        if up and instance.state is ResourceState.STOPPED:
            self.world.cloud.start_by_hand(ref)
        elif not up and instance.state is ResourceState.RUNNING:
            self.world.cloud.stop_by_hand(ref)

    @rule()
    def every_message_is_lost(self) -> None:
        self.world.queue.waiting.clear()

    @invariant()
    def nothing_is_violated(self) -> None:
        if hasattr(self, "world"):
            assert self.world.violations == []

    @invariant()
    def no_start_storm(self) -> None:
        if hasattr(self, "world"):
            hour = self.world.clock.now() - timedelta(hours=1)
            for id_ in INSTANCES:
                starts = [1 for at, what, of in self.world.cloud.journal if what == "start" and of == id_ and at > hour]
                assert len(starts) <= 40

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.queue._chaos = None
        for instance in self.world.cloud.instances.values():
            instance.refuse_start.clear()
            instance.falls_back = None
        for id_ in INSTANCES.values():
            self.world.change(id_, schedule_ids=())
            self.world.overrides.release(id_, by="ak_1")
        self.world.pass_time(timedelta(minutes=90), step=10 * SECOND)
        assert self.world.violations == []
        for id_ in INSTANCES.values():
            found = self.world.stores.rules.get(id_).status
            assert found.state is RuleState.DOWN, (id_, found)
            assert found.claim is None
        # And everything comes up again for who needs it.
        self.world.overrides.warm_up("ru_1", minutes=60, by="ak_1", reason=None)
        self.world.pass_time(timedelta(minutes=30), step=10 * SECOND)
        for id_ in INSTANCES.values():
            assert self.world.stores.rules.get(id_).status.state is RuleState.UP, id_
        assert self.world.violations == []


TestNeighbourhood = Neighbourhood.TestCase
TestNeighbourhood.settings = settings(
    max_examples=120, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
