"""`decide`: facts and a clock value in, a decision with its reason out. Nothing else happens here."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.decisions import AT_REST, RESYNC, Action, Decision, Desired, Reason
from chalicelib.domain.diagnosis import diagnosed
from chalicelib.domain.membership import by_tags_alone
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import HeldDown, RuleState
from chalicelib.domain.waits import (
    DESCRIBE_LAG,
    DRAIN_RENEWAL,
    LOOK_BUSY,
    LOOK_DEPENDENCY,
    LOOK_DRAINING,
    LOOK_DRY_RUN,
    LOOK_HEALTH,
    LOOK_LIMITED,
    LOOK_PAUSED,
    LOOK_PENDING,
    LOOK_RESTART,
    LOOK_STARTING,
    LOOK_STOPPING,
    LOOK_UNHEALTHY,
    start_timeout,
)
from chalicelib.domain.wish import wish

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from chalicelib.domain.decisions import Wish
    from chalicelib.domain.facts import Facts
    from chalicelib.domain.resources import ObservedResource
    from chalicelib.domain.rules import Rule, RuleStatus


def decide(rule: Rule, facts: Facts, now: datetime) -> Decision:
    """Decide what to do about one rule.

    `now` is the only clock. The answer's `until` is never before `now`, and its `state` is what the rule is once
    the action is carried out.
    """
    if not rule.spec.enabled:
        return _Case(rule, facts, now, None).left_alone()
    wanted = wish(rule, facts, now)
    case = _Case(rule, facts, now, wanted)
    if not facts.existing:
        return case.without_resources()
    decision = case.bring_up() if wanted.desired is Desired.UP else case.bring_down()
    if rule.spec.dry_run and decision.action.touches_the_world:
        return case.only_said(decision)
    return decision


def held_back(decision: Decision, status: RuleStatus, now: datetime) -> Decision:
    """The same decision where the account allows no more stops to begin for now."""
    return replace(
        decision,
        action=Action.WAIT,
        reason=Reason.STOPS_LIMITED,
        detail=None,
        until=now + LOOK_LIMITED,
        state=status.state if status.state is RuleState.FAILED else RuleState.UP,
    )


class _Case:
    """One call of `decide`: the facts at hand, so that each step below reads as a sentence."""

    __slots__ = ("evidence", "facts", "now", "rule", "status", "wanted")

    def __init__(self, rule: Rule, facts: Facts, now: datetime, wanted: Wish | None) -> None:
        self.rule = rule
        self.status = rule.status
        self.facts = facts
        self.now = now
        self.wanted = wanted
        self.evidence = facts.evidence(rule.status, now)

    def left_alone(self) -> Decision:
        state = self._observed_state()
        desired = Desired.DOWN if state is RuleState.DOWN else Desired.UP
        return Decision(Action.NOTHING, desired, Reason.DISABLED, self.evidence, self.now + AT_REST, state)

    def only_said(self, decision: Decision) -> Decision:
        ids = ", ".join(decision.resource_ids)
        return Decision(
            Action.REPORT,
            decision.desired,
            decision.reason,
            decision.evidence,
            self.now + LOOK_DRY_RUN,
            self._observed_state(),
            decision.resource_ids,
            f"Dry run: it would {decision.action.value.replace('_', ' ')} {ids}.",
            decision.wish,
            by=decision.by,
        )

    # Up

    def bring_up(self) -> Decision:
        stopped = self.facts.within(ResourceState.STOPPED)
        if stopped and self._wanted.may_start:
            return self._start(stopped)
        if self.facts.within(ResourceState.STOPPING) and self._wanted.may_start:
            return self._say(Action.WAIT, RuleState.STARTING, LOOK_STARTING, Reason.STILL_STOPPING)
        if faulty := self._faults():
            return self._say(Action.REPORT, RuleState.FAILED, LOOK_UNHEALTHY, Reason.FAULTY, detail=faulty)
        if self.facts.within(ResourceState.PENDING):
            return self._starting(Reason.STARTING, LOOK_PENDING)
        if self._stop_under_way():
            return self._say(Action.WAIT, RuleState.STARTING, LOOK_STARTING, Reason.STILL_STOPPING)
        if self.status.drain:
            return self._say(Action.CANCEL_STOP, RuleState.UP, timedelta(seconds=1), ids=self.facts.existing)
        if self.status.state in {RuleState.STARTING, RuleState.FAILED} and not self.facts.healthy:
            return self._starting(Reason.AWAITING_HEALTH, LOOK_HEALTH)
        # A wish that is only caution starts nothing: what does not run is not up for it.
        state = RuleState.UP if self.facts.within(ResourceState.RUNNING) else self._observed_state()
        return self._say(Action.NOTHING, state, self._wanted.until - self.now)

    def _start(self, stopped: tuple[ObservedResource, ...]) -> Decision:
        requested_at = self.status.start_requested_at
        if requested_at is not None and self.status.state is RuleState.STARTING:
            if self.now - requested_at < DESCRIBE_LAG:
                return self._say(Action.WAIT, RuleState.STARTING, LOOK_STARTING, Reason.STARTING)
            why = "; ".join(
                f"{r.ref.id}: {diagnosed(None, r.state_reason or 'stopped again without a reason')}" for r in stopped
            )
            return self._say(Action.REPORT, RuleState.FAILED, LOOK_STARTING, Reason.START_FAILED, detail=why)
        if self.status.retry_at is not None and self.now < self.status.retry_at:
            wait = self.status.retry_at - self.now
            return self._say(
                Action.WAIT,
                RuleState.FAILED,
                wait,
                self.status.reason or Reason.START_FAILED,
                detail=self.status.detail,
            )
        missing = self._missing_dependency()
        if missing is not None:
            look, why = missing
            return self._say(Action.WAIT, RuleState.STARTING, look, Reason.AWAITING_DEPENDENCY, detail=why)
        return self._say(Action.START, RuleState.STARTING, LOOK_STARTING, ids=stopped)

    def _missing_dependency(self) -> tuple[timedelta, str] | None:
        """The first rule that this one needs and that is not up for its delay yet: when to look again, and in words."""
        for dependency in self.facts.dependencies:
            ready_at = dependency.ready_at()
            if ready_at is None:
                status = dependency.rule.status
                why = f": {status.detail}" if status.state is RuleState.FAILED and status.detail else ""
                return LOOK_DEPENDENCY, f"{dependency.name} is {status.state}{why}."
            if self.now < ready_at:
                left = ready_at - self.now
                return left, f"{dependency.name} is up; {int(left.total_seconds()) + 1} s of its delay are left."
        return None

    def _starting(self, reason: Reason, look: timedelta) -> Decision:
        began = self.status.start_requested_at or self.status.since
        if self.status.state is RuleState.FAILED and self.status.reason is Reason.HEALTH_FAILED:
            return self._say(
                Action.WAIT, RuleState.FAILED, LOOK_UNHEALTHY, Reason.HEALTH_FAILED, detail=self.status.detail
            )
        timeout = start_timeout(self.rule.spec)
        if began is not None and self.now - began > timeout and self.status.state is RuleState.STARTING:
            failed = Reason.HEALTH_FAILED if reason is Reason.AWAITING_HEALTH else Reason.START_FAILED
            waited = f"Not up {timeout / timedelta(minutes=1):g} minutes after the start was asked for."
            return self._say(Action.REPORT, RuleState.FAILED, LOOK_UNHEALTHY, failed, detail=waited)
        return self._say(Action.WAIT, RuleState.STARTING, look, reason)

    # Down

    def bring_down(self) -> Decision:
        running = self.facts.within(ResourceState.RUNNING)
        pending = self.facts.within(ResourceState.PENDING)
        if running:
            return self._stop(running)
        if faulty := self._faults():
            return self._say(Action.REPORT, RuleState.FAILED, LOOK_UNHEALTHY, Reason.FAULTY, detail=faulty)
        if pending:
            return self._say(Action.WAIT, RuleState.STARTING, LOOK_PENDING)
        if self.facts.within(ResourceState.STOPPING):
            return self._say(Action.WAIT, RuleState.STOPPING, LOOK_STOPPING)
        return self._say(Action.NOTHING, RuleState.DOWN, min(self._wanted.until - self.now, self._until_restart()))

    def _until_restart(self) -> timedelta:
        """How long until AWS starts a database of it by itself: it would run unseen for hours if its event got lost."""
        named = [r.restarts_at for r in self.facts.within(ResourceState.STOPPED) if r.restarts_at is not None]
        return max(min(named) - self.now, LOOK_RESTART) if named else AT_REST

    def _stop(self, running: tuple[ObservedResource, ...]) -> Decision:
        protected = self._protections(running)
        if protected:
            return self._say(Action.REPORT, RuleState.UP, RESYNC, Reason.PROTECTED, detail=protected)
        if self._stop_under_way():
            return self._say(Action.WAIT, RuleState.STOPPING, LOOK_STARTING)
        if busy := _words((r, r.busy) for r in self.facts.existing):
            action = Action.CANCEL_STOP if self.status.drain else Action.WAIT
            ids = running if self.status.drain else ()
            return self._say(action, RuleState.UP, LOOK_BUSY, Reason.BUSY, ids=ids, detail=busy)
        if self.facts.paused:
            action = Action.CANCEL_STOP if self.status.drain else Action.NOTHING
            return self._say(action, RuleState.UP, LOOK_PAUSED, Reason.PAUSED, ids=running if self.status.drain else ())
        if self.status.retry_at is not None and self.now < self.status.retry_at:
            reason, detail = self.status.reason or Reason.STOP_FAILED, self.status.detail
            return self._say(Action.WAIT, self.status.state, self.status.retry_at - self.now, reason, detail=detail)
        if self._wanted.forced or self.rule.spec.load_balancer_id is None:
            return self._say(Action.STOP, RuleState.STOPPING, LOOK_STOPPING, ids=running)
        return self._two_phases(running)

    def _two_phases(self, running: tuple[ObservedResource, ...]) -> Decision:
        """Divert, wait until the evidence covers time after the diversion, then stop."""
        drain, look = self.status.drain, max(LOOK_DRAINING, self.facts.pace)
        if drain is None:
            return self._say(Action.DRAIN, RuleState.STOPPING, look, ids=running)
        if self.facts.confirm_diversion(drain, self.now):
            return self._say(Action.STOP, RuleState.STOPPING, LOOK_STOPPING, ids=running)
        given_up = self.now - drain.since > self.facts.patience
        if given_up or self.facts.diversion_undone(drain, self.now):
            if given_up and self._wanted.ordered:
                return self._say(Action.STOP, RuleState.STOPPING, LOOK_STOPPING, ids=running)
            return self._say(Action.CANCEL_STOP, RuleState.UP, LOOK_STARTING, Reason.DRAIN_UNCONFIRMED, ids=running)
        if drain.until - self.now < DRAIN_RENEWAL:
            return self._say(Action.DRAIN, RuleState.STOPPING, look, ids=running)
        return self._say(Action.WAIT, RuleState.STOPPING, look, Reason.DRAINING)

    def _stop_under_way(self) -> bool:
        """Whether AWS has just accepted a stop that a describe may not show yet."""
        requested_at = self.status.stop_requested_at
        return requested_at is not None and self.now - requested_at < DESCRIBE_LAG

    def _protections(self, running: tuple[ObservedResource, ...]) -> str | None:
        accept = self.rule.spec.accept_data_loss
        return _words((r, p.words) for r in running for p in r.blocking_protections(accept_data_loss=accept))

    def _faults(self) -> str | None:
        """What keeps a resource from ever running by waiting alone."""
        return _words((r, r.fault) for r in self.facts.within(ResourceState.PENDING))

    # Words

    @property
    def _wanted(self) -> Wish:
        if self.wanted is None:
            msg = "a disabled rule wishes for nothing"
            raise AssertionError(msg)
        return self.wanted

    def _observed_state(self) -> RuleState:
        if self.facts.within(ResourceState.RUNNING):
            return RuleState.UP
        if self.facts.within(ResourceState.PENDING):
            return RuleState.STARTING
        if self.facts.within(ResourceState.STOPPING):
            return RuleState.STOPPING
        return RuleState.DOWN if self.facts.existing or by_tags_alone(self.rule.spec) else RuleState.FAILED

    def without_resources(self) -> Decision:
        if by_tags_alone(self.rule.spec):
            decision = self._say(Action.NOTHING, RuleState.DOWN, AT_REST, Reason.NO_RESOURCES)
            return replace(decision, held_down=HeldDown(Reason.NO_RESOURCES))  # nobody is held for what is not there
        return self._say(Action.REPORT, RuleState.FAILED, RESYNC, Reason.RESOURCES_GONE)

    def _say(
        self,
        action: Action,
        state: RuleState,
        look: timedelta,
        reason: Reason | None = None,
        *,
        ids: tuple[ObservedResource, ...] = (),
        detail: str | None = None,
    ) -> Decision:
        wanted = self._wanted
        return Decision(
            action,
            wanted.desired,
            reason or wanted.reason,
            self.evidence,
            self.now + max(look, timedelta(0)),
            state,
            tuple(resource.ref.id for resource in ids),
            detail if reason else (detail or wanted.detail),
            wanted.reason,
            self._held_down(wanted),
            wanted.by,
        )

    def _held_down(self, wanted: Wish) -> HeldDown | None:
        """What the schedules, or a rule that this one needs, keep from being started by traffic."""
        if wanted.reason is Reason.DOWNTIME:
            return HeldDown(Reason.DOWNTIME, wanted.detail, wanted.ends)
        for dependency in self.facts.dependencies:
            held = None if dependency.ready_at() else dependency.rule.held_down(self.now)
            if held is not None:
                return HeldDown(Reason.AWAITING_DEPENDENCY, f"{dependency.name}: {held.reason.words}", held.until)
        return None


def _words(said: Iterable[tuple[ObservedResource, str | None]]) -> str | None:
    """What there is to say of each, after its id; None where there is nothing."""
    words = [f"{resource.ref.id} {why}" for resource, why in said if why]
    return "; ".join(words) + "." if words else None
