"""What the warm-up function tells whoever reaches it: whose door it is, how far its rule is, and what comes next.

A request costs one read, that of its rule. What hardly changes (the load balancer's doors and theme, how long starts of
a rule took) is kept in the process for a while; the doors are held against the rule that they lead to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from chalicelib.domain.doors import Doors, leads_to
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.events import EventKind
from chalicelib.domain.ignoring import ignored_by
from chalicelib.domain.rules import RuleState, WhileStarting
from chalicelib.usecases.requests import request_for
from chalicelib.usecases.warm_up import BURST, WakeCause

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from chalicelib.domain.albs import Theme
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import Clock, EventLog, LoadBalancerRepository, ProxyStore, RuleRepository
    from chalicelib.usecases.warm_up import WakeProgress, WarmUp

T = TypeVar("T")

DOORS_KEPT = timedelta(seconds=20)
"""A rule that is new on a host that another has is found so much later in a process that knows the host."""

DOORS_BELIEVED = timedelta(seconds=2)
"""For so long a process takes them at their word that a host is nobody's: strangers can ask for any host."""

THEME_KEPT = timedelta(minutes=5)
STARTS_KEPT = timedelta(minutes=5)
NEEDS_KEPT = timedelta(seconds=2)
MOST_KEPT = 1_000
"""Things of one kind that a process keeps, whatever it is asked for."""

HISTORY = timedelta(days=30)
MOST_EVENTS = 50
MOST_STARTS = 9
NUDGE = timedelta(seconds=2)
"""Requests for a rule make one process ask the worker for a look at most so often."""


class Outcome(StrEnum):
    """What is so about a request."""

    UNKNOWN = "unknown"
    IGNORED = "ignored"
    KEPT_DOWN = "kept_down"
    STARTING = "starting"
    FAILED = "failed"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Visit:
    """A request. `host` is lower-case without a port; `port` is the listener's, `source` the client's address."""

    load_balancer_id: str
    host: str
    path: str
    port: int | None = None
    source: str | None = None
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """The answer in facts. `seconds`: since the start was asked for; `ignored`: see `ignored_by`."""

    outcome: Outcome
    rule: Rule | None = None
    progress: WakeProgress | None = None
    seconds: float | None = None
    ignored: str | None = None

    @property
    def holds(self) -> bool:
        """Whether whoever asked is to be held until it is up."""
        waits = self.outcome in {Outcome.STARTING, Outcome.FAILED, Outcome.UP}
        return waits and self.rule is not None and self.rule.spec.while_starting is WhileStarting.HOLD


@dataclass(frozen=True, slots=True)
class Extras:
    """What only a page shows. `expected`: seconds that a start of the rule takes, None if none was seen.

    `needs` are the rules that it depends on, by name, each with its state.
    """

    theme: Theme | None = None
    expected: float | None = None
    needs: tuple[tuple[str, RuleState], ...] = ()


@dataclass(slots=True)
class Kept(Generic[T]):
    """What was asked for lately, for `life`."""

    life: timedelta
    of: dict[str, tuple[datetime, T]] = field(default_factory=dict)

    def get(self, key: str, now: datetime, ask: Callable[[], T]) -> T:
        """Ask, unless that was done lately."""
        known = self.of.get(key)
        if known is not None and now - known[0] < self.life:
            return known[1]
        if len(self.of) >= MOST_KEPT:
            self.of.clear()
        value = ask()
        self.of[key] = (now, value)
        return value


@dataclass(slots=True)
class AnswerTraffic:
    """For the warm-up function of an ALB."""

    warm_up: WarmUp
    rules: RuleRepository
    proxies: ProxyStore
    balancers: LoadBalancerRepository
    events: EventLog
    clock: Clock
    _doors: Kept[Doors] = field(default_factory=lambda: Kept(DOORS_KEPT))
    _themes: Kept[Theme | None] = field(default_factory=lambda: Kept(THEME_KEPT))
    _starts: Kept[float | None] = field(default_factory=lambda: Kept(STARTS_KEPT))
    _needs: Kept[tuple[tuple[str, RuleState], ...]] = field(default_factory=lambda: Kept(NEEDS_KEPT))
    _nudged: dict[str, datetime] = field(default_factory=dict)

    def visit(self, visit: Visit) -> Told:
        """Find the rule, and wake it if this request may."""
        rule = self._rule(visit)
        if rule is None:
            return Told(Outcome.UNKNOWN)
        ignored = ignored_by(rule.spec.ignore, visit.path, visit.user_agent, visit.source)
        if ignored is not None:
            return Told(Outcome.IGNORED, rule, ignored=ignored)
        cause = WakeCause("http", visit.source, visit.port, visit.host, visit.path)
        try:
            woken = self.warm_up.read(rule, cause)
        except NotFoundError:
            return Told(Outcome.UNKNOWN)
        if not woken.progress.startable:
            return Told(Outcome.KEPT_DOWN, woken.rule, woken.progress)
        self._nudge(woken.rule)
        return self._told(woken.rule, woken.progress)

    def look(self, told: Told) -> Told:
        """How far the rule of an earlier answer is now; it wakes nothing."""
        if told.rule is None or told.progress is None:
            return told  # nobody waits for it
        try:
            rule = self.rules.get(told.rule.id)
        except NotFoundError:
            return Told(Outcome.UNKNOWN)
        if rule.held_down(self.clock.now()) is not None:
            return Told(Outcome.KEPT_DOWN, rule, told.progress)
        self._nudge(rule)
        return self._told(rule, told.progress)

    def expected(self, told: Told) -> float | None:
        """Seconds that a start of its rule takes, None if none was seen.

        Of a rule that was down a moment ago it is not asked: a burst comes then, and costs one read a request.
        """
        rule = told.rule
        waits = told.outcome in {Outcome.STARTING, Outcome.FAILED}
        if rule is None or not waits or rule.status.state is RuleState.DOWN:
            return None
        return self._starts.get(rule.id, self.clock.now(), lambda: self._usual(rule.id))

    def extras(self, load_balancer_id: str, told: Told) -> Extras:
        """What a page shows besides."""
        now, rule = self.clock.now(), told.rule
        theme = self._themes.get(load_balancer_id, now, lambda: self._theme(load_balancer_id))
        if rule is None or told.outcome not in {Outcome.STARTING, Outcome.FAILED}:
            return Extras(theme)
        needs = self._needs.get(rule.id, now, lambda: self._needed(rule)) if rule.spec.depends_on else ()
        return Extras(theme, self.expected(told), needs)

    # Below

    def _rule(self, visit: Visit) -> Rule | None:
        """Whose door it is; where what is kept is older than the rules, by reading it again, once."""
        key, now = visit.load_balancer_id, self.clock.now()
        for last in (False, True):
            doors = self._doors.get(key, now, lambda: Doors.read(self.proxies.rules(key)))
            rule_id = doors.rule_for(visit.host, visit.path, visit.port)
            if rule_id is None:
                fresh = now - self._doors.of[key][0] < DOORS_BELIEVED
            else:
                rule = self._own(rule_id, visit)
                if rule is not None:
                    return rule
                fresh = False
            if last or fresh:
                break
            del self._doors.of[key]
        return None

    def _own(self, rule_id: str, visit: Visit) -> Rule | None:
        try:
            rule = self.rules.get(rule_id)
        except NotFoundError:
            return None
        here = rule.spec.load_balancer_id == visit.load_balancer_id
        return rule if here and leads_to(rule.spec.http, visit.host, visit.path, visit.port) else None

    def _told(self, rule: Rule, progress: WakeProgress) -> Told:
        now, status = self.clock.now(), rule.status
        outcome = {RuleState.UP: Outcome.UP, RuleState.FAILED: Outcome.FAILED}.get(status.state, Outcome.STARTING)
        began = status.start_requested_at if status.state is RuleState.STARTING else status.woken_at
        since = began or status.since
        seconds = None if since is None else max(0.0, (now - since).total_seconds())
        return Told(outcome, rule, progress, seconds)

    def _nudge(self, rule: Rule) -> None:
        """Have a rule that is due looked at now: what is healthy gets its traffic without waiting for the tick."""
        now, status = self.clock.now(), rule.status
        due = status.due_at is not None and status.due_at <= now
        woken = status.woken_at is not None and status.woken_at == status.due_at  # the wake asked for a look already
        busy = status.claim is not None and status.claim.live(now)
        last = self._nudged.get(rule.id)
        if not due or busy or (woken and status.due_at is not None and now - status.due_at < BURST):
            return
        if last is not None and now - last < NUDGE:
            return
        if len(self._nudged) >= MOST_KEPT:
            self._nudged.clear()
        self._nudged[rule.id] = now
        self.warm_up.queue.send([request_for(rule, "page", now)])

    def _theme(self, load_balancer_id: str) -> Theme | None:
        try:
            balancer = self.balancers.get(load_balancer_id)
        except NotFoundError:
            return None
        return balancer.alb.theme if balancer.alb is not None else None

    def _usual(self, rule_id: str) -> float | None:
        now = self.clock.now()
        found = self.events.of_rule(rule_id, now - HISTORY, now, MOST_EVENTS).items
        took = [e.seconds for e in found if e.kind is EventKind.STATE_CHANGED and e.seconds is not None]
        # Of an even number the longer one: it is better to be let in early.
        return sorted(took[:MOST_STARTS])[len(took[:MOST_STARTS]) // 2] if took else None

    def _needed(self, rule: Rule) -> tuple[tuple[str, RuleState], ...]:
        ids = [need.rule_id for need in rule.spec.depends_on]
        found = self.rules.get_many(ids)
        return tuple((found[id_].spec.name, found[id_].status.state) for id_ in ids if id_ in found)
