"""Traffic asks for rules: the wake. One read for each request of a burst, one write and one message for all of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.rules import RuleState
from chalicelib.usecases.requests import request_for

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.rules import Rule
    from chalicelib.ports import Clock, EventLog, Ids, RuleRepository, RuleStatusStore, WorkQueue

BURST = timedelta(seconds=5)
"""Wakes of one rule within this time are one wake."""

LONGEST_ACTOR = 400
"""Of a path that a stranger chose, as much as helps to recognise it."""

_PHASES = {
    RuleState.UP: "up",
    RuleState.STOPPING: "still stopping; it starts again as soon as AWS allows",
    RuleState.DOWN: "asked to start",
    RuleState.STARTING: "starting",
    RuleState.FAILED: "failed to start; trying again",
}


@dataclass(frozen=True, slots=True)
class WakeCause:
    """Who is there. `kind`: http, tcp, or held (a connection that still waits)."""

    kind: str
    source: str | None = None
    port: int | None = None
    host: str | None = None
    path: str | None = None

    @property
    def actor(self) -> str:
        """The cause as the history names it."""
        where = f"{self.host}{self.path or ''}" if self.host else f"port {self.port}" if self.port else self.kind
        return f"traffic {self.source or 'unknown'} to {where}"[:LONGEST_ACTOR]


@dataclass(frozen=True, slots=True)
class WakeProgress:
    """How far a woken rule is."""

    rule_id: str
    state: RuleState
    phase: str
    since: datetime | None
    startable: bool
    reason: str | None
    detail: str | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Woken:
    """A rule as it is after the wake, and how far it is."""

    rule: Rule
    progress: WakeProgress


@dataclass(slots=True)
class WarmUp:
    """What a proxy and the warm-up function of an ALB call when somebody is there."""

    rules: RuleRepository
    status: RuleStatusStore
    events: EventLog
    queue: WorkQueue
    clock: Clock
    ids: Ids

    def by_traffic(
        self, load_balancer_id: str, rule_ids: tuple[str, ...], cause: WakeCause
    ) -> tuple[WakeProgress, ...]:
        """Wake rules of this load balancer; ids of other load balancers, or of none, are left out of the answer."""
        return tuple(
            progress
            for rule_id in dict.fromkeys(rule_ids)
            if (progress := self._wake(load_balancer_id, rule_id, cause)) is not None
        )

    def _wake(self, load_balancer_id: str, rule_id: str, cause: WakeCause) -> WakeProgress | None:
        try:
            rule = self.rules.get(rule_id)
        except NotFoundError:
            return None
        return self.read(rule, cause).progress if rule.spec.load_balancer_id == load_balancer_id else None

    def read(self, rule: Rule, cause: WakeCause) -> Woken:
        """Wake a rule that was read just now: who has it need not read it again. Raises NotFoundError if it is gone."""
        now = self.clock.now()
        held = rule.held_down(now)
        recent = rule.status.woken_at is not None and rule.status.woken_at >= now - BURST
        if held is None and not recent:
            before = rule
            rule = self.status.wake(rule.id, now, cause.actor, now - BURST)
            # Not by its revision: whoever loses the race for the wake reads a newer one, too.
            if (rule.status.woken_at, rule.status.woken_by) == (now, cause.actor):
                self._ask(before, rule, cause, now)
        failure = rule.status.detail if rule.status.state is RuleState.FAILED else None
        reason = held.reason if held else rule.status.reason
        progress = WakeProgress(
            rule.id,
            rule.status.state,
            _PHASES[rule.status.state],
            rule.status.since,
            held is None,
            reason.value if reason else None,
            held.words if held else failure,
            held.until if held else None,
        )
        return Woken(rule, progress)

    def _ask(self, before: Rule, rule: Rule, cause: WakeCause, now: datetime) -> None:
        self.queue.send([request_for(rule, "wake", now)])
        if before.status.state in {RuleState.DOWN, RuleState.STOPPING}:
            words = f"Woken by {cause.actor}."
            event = Event(self.ids.new("ev"), now, EventKind.WOKEN, rule.id, cause.actor, words)
            self.events.append([event])
