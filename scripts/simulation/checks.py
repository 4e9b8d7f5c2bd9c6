"""The invariants, checked against the truth at the moment of each call that AWS gets."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import OverrideKind, RuleState
from chalicelib.domain.schedules import ScheduleKind, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from chalicelib.adapters.memory.cloud import FakeCloud
    from chalicelib.adapters.memory.proxies import MemoryProxyStore
    from chalicelib.adapters.memory.rules import MemoryRules
    from chalicelib.adapters.memory.schedules import MemorySchedules
    from chalicelib.domain.rules import Rule
    from scripts.simulation.guest import Guest

HOUR = timedelta(hours=1)
MOST_STARTS = 15
"""Start calls of one rule in an hour. Back-off alone allows 7; people who come and go while it fails, a few more."""

UP = frozenset({RuleState.UP, RuleState.STARTING})
RUNS = frozenset({ResourceState.RUNNING, ResourceState.PENDING})


@dataclass(frozen=True, slots=True)
class Violation:
    """What must not happen, and did; `history` is what led to it."""

    at: datetime
    rule_id: str
    what: str
    history: tuple[str, ...]


class Checks:
    """Looks at each start and stop with eyes of its own."""

    def __init__(
        self,
        rules: MemoryRules,
        schedules: MemorySchedules,
        proxies: MemoryProxyStore,
        cloud: FakeCloud,
        guests: Mapping[str, Guest],
        history: Callable[[Rule], tuple[str, ...]],
    ) -> None:
        self._rules, self._schedules, self._proxies = rules, schedules, proxies
        self._cloud, self._guests, self._history = cloud, guests, history
        self._starts: dict[str, deque[datetime]] = defaultdict(deque)
        self.most_starts = 0
        self.violations: list[Violation] = []

    def start(self, rule_id: str, now: datetime) -> None:
        """AWS is asked to start this rule."""
        self._keep(rule_id, now, self._of_start(self._rules.get(rule_id), now))

    def stop(self, rule_id: str, now: datetime) -> None:
        """AWS is asked to stop it."""
        self._keep(rule_id, now, self._of_stop(self._rules.get(rule_id), now))

    def found(self, rule_id: str, now: datetime, what: str) -> None:
        """Something else that must not happen."""
        self.violations.append(Violation(now, rule_id, what, self._history(self._rules.get(rule_id))))

    def _keep(self, rule_id: str, now: datetime, found: Iterator[str]) -> None:
        for what in found:
            self.found(rule_id, now, what)

    def _of_start(self, rule: Rule, now: datetime) -> Iterator[str]:
        yield from self._of_settings(rule, "started")
        recent = self._starts[rule.id]
        recent.append(now)
        while recent[0] <= now - HOUR:
            recent.popleft()
        self.most_starts = max(self.most_starts, len(recent))
        if len(recent) > MOST_STARTS:
            yield f"start storm: {len(recent)} start calls in an hour"
        for need in rule.spec.depends_on:
            below = self._rules.get(need.rule_id).status
            if below.state is not RuleState.UP:
                yield f"started while its dependency {need.rule_id} was {below.state}"
            for ref in self._guests[need.rule_id].refs:
                instance = self._cloud.instances[ref]
                if instance.running_since is None or now < instance.running_since + need.delay:
                    yield f"started while {ref.id} of its dependency {need.rule_id} was {instance.state}"
        needed = any(self._rules.get(other).status.state in UP for other in rule.dependents)
        ordered = self._ordered(rule, now)
        if ordered is ScheduleKind.DOWNTIME and not needed:
            yield "started against a cool-down or a downtime"

    def _of_stop(self, rule: Rule, now: datetime) -> Iterator[str]:
        yield from self._of_settings(rule, "stopped")
        ordered, override = self._ordered(rule, now), rule.status.override
        if ordered is ScheduleKind.UPTIME:
            yield "stopped against a warm-up or an uptime window"
        if not (override and override.in_force(now) and override.force):
            yield from self._dependents_up(rule)
        if ordered is None:
            yield from self._unproven(rule, now)

    def _dependents_up(self, rule: Rule) -> Iterator[str]:
        for other in rule.dependents:
            status = self._rules.get(other).status
            state = f"{status.state} ({status.reason})"
            running = [r.id for r in self._guests[other].refs if self._cloud.instances[r].state in RUNS]
            if status.state in UP or running:
                yield f"stopped while {other}, which needs it, was {state} and ran {', '.join(running) or 'nothing'}"

    def _unproven(self, rule: Rule, now: datetime) -> Iterator[str]:
        if rule.spec.load_balancer_id is None:
            if not (rule.spec.schedule_ids or rule.dependents):
                yield "stopped without anything that could tell that it is idle"
            return
        sources = self._proxies.sources(rule.spec.load_balancer_id)
        if not sources or any(source.is_silent(now) for source in sources):
            yield "stopped blind"
        used = self._guests[rule.id].used(now)
        if now < used + rule.spec.idle:
            yield f"stopped with activity at {used:%d %b %H:%M:%S} inside its idle time of {rule.spec.idle}"
        began = [self._cloud.instances[ref].running_since for ref in rule.refs]
        # Where a part is down, as one that was stopped before the others, when it began to run is not to be seen here.
        oldest = None if None in began else min((at for at in began if at is not None), default=None)
        if oldest is not None and now < oldest + rule.spec.idle:
            yield f"stopped although it runs only since {oldest:%d %b %H:%M:%S}, less than its idle time"

    def _of_settings(self, rule: Rule, what: str) -> Iterator[str]:
        if not rule.spec.enabled or rule.spec.dry_run:
            yield f"{what} although it is disabled or dry run"

    def _ordered(self, rule: Rule, now: datetime) -> ScheduleKind | None:
        """What an order says, if there is one: a person's before a schedule's."""
        override = rule.status.override
        if override and override.in_force(now):
            return ScheduleKind.UPTIME if override.kind is OverrideKind.WARM_UP else ScheduleKind.DOWNTIME
        schedules = tuple(self._schedules.get_many(rule.spec.schedule_ids).values())
        said = verdict(schedules, now).schedule if schedules else None
        return said.kind if said else None
