"""What a decision, carried out, leaves behind: the rule's next status. Pure, like the decision."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.aws_restart import restarted
from chalicelib.domain.decisions import Action, Desired, Reason
from chalicelib.domain.diagnosis import diagnosed
from chalicelib.domain.drains import Drain
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import RuleState, SeenResource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from chalicelib.domain.decisions import Decision
    from chalicelib.domain.errors import CloudError
    from chalicelib.domain.facts import Facts
    from chalicelib.domain.resources import Outcome
    from chalicelib.domain.rules import Rule, RuleStatus

FIRST_RETRY = timedelta(seconds=30)
LAST_RETRY = timedelta(minutes=30)

LOOK_RETRYABLE = timedelta(minutes=1)
LOOK_REFUSED = timedelta(minutes=5)
"""A refusal, as of a role that does not let us in, is mended by a person."""


def back_off(rule_id: str, failures: int) -> timedelta:
    """How long to wait after the nth failure in a row: doubling, capped, spread over ±20 % by the rule's own id.

    The spread is the rule's, not random, so the core stays pure and rules that failed together still part.
    """
    doubled: timedelta = min(FIRST_RETRY * (1 << min(failures - 1, 10)), LAST_RETRY)
    spread = hashlib.sha256(f"{rule_id}:{failures}".encode()).digest()[0] / 255 * 0.4 - 0.2
    return doubled * (1 + spread)


def settle(rule: Rule, decision: Decision, facts: Facts, now: datetime) -> RuleStatus:
    """The status once `decision` is carried out; its claim is taken away."""
    old, state = rule.status, decision.state
    up, down = state is RuleState.UP, state is RuleState.DOWN
    up_since = old.up_since or now if facts.within(ResourceState.RUNNING) else old.up_since
    # Up against our wish is no success: a stop that was given up keeps its back-off.
    done = down or (up and decision.desired is Desired.UP)
    # One call for all: this is made at every look.
    status = replace(
        old,
        state=state,
        reason=decision.reason,
        detail=decision.detail,
        since=now if state is not old.state or old.since is None else old.since,
        due_at=decision.until,
        claim=None,
        override=old.override if old.override and old.override.in_force(now) else None,
        drain=None if down else old.drain,
        up_since=None if down else up_since,
        start_requested_at=None if up or down else old.start_requested_at,
        stop_requested_at=None if up else old.stop_requested_at,
        held_down=decision.held_down,
        stopped_by_hand_at=(old.stopped_by_hand_at or now) if decision.wish is Reason.STOPPED_BY_HAND else None,
        started_by_hand_at=(old.started_by_hand_at or now) if decision.wish is Reason.STARTED_BY_HAND else None,
        failures=0 if done else old.failures,
        retry_at=None if done else old.retry_at,
        seen=tuple(SeenResource.of(resource) for resource in facts.resources),
        observed_at=now,
        restarted_at=None if down else restarted(rule, facts, now),
    )
    return _after(decision, status, facts, rule.id, now)


def _after(decision: Decision, status: RuleStatus, facts: Facts, rule_id: str, now: datetime) -> RuleStatus:
    match decision.action:
        case Action.START:
            # A part that runs keeps its time: a part that never starts must not keep it from ever being idle.
            up_since = status.up_since if facts.within(ResourceState.RUNNING) else None
            return replace(status, start_requested_at=now, stop_requested_at=None, up_since=up_since, drain=None)
        case Action.STOP:
            return replace(status, stop_requested_at=now, start_requested_at=None)
        case Action.CANCEL_STOP if decision.reason is Reason.DRAIN_UNCONFIRMED:
            failed = replace(status, failures=status.failures + 1, drain=None)
            return replace(failed, retry_at=now + back_off(rule_id, failed.failures))
        case Action.CANCEL_STOP:
            return replace(status, drain=None)
        case Action.REPORT if decision.state is RuleState.FAILED and decision.reason is Reason.START_FAILED:
            return failed_again(replace(status, start_requested_at=None), rule_id, now)
        case _:
            return status


def failed_again(status: RuleStatus, rule_id: str, now: datetime) -> RuleStatus:
    """One more failure in a row, and when to try again."""
    failures = status.failures + 1
    retry_at = now + back_off(rule_id, failures)
    return replace(status, failures=failures, retry_at=retry_at, due_at=retry_at)


def refused(status: RuleStatus, action: Action, outcomes: Sequence[Outcome], rule_id: str, now: datetime) -> RuleStatus:
    """The status when AWS refused all or some of a start or stop: failed, with AWS's own words, to be retried."""
    words = "; ".join(f"{o.ref.id}: {diagnosed(o.code, o.message)}" for o in outcomes if not o.accepted)
    reason = Reason.START_FAILED if action is Action.START else Reason.STOP_FAILED
    forgotten = (
        replace(status, start_requested_at=None)
        if action is Action.START
        else replace(status, stop_requested_at=None, drain=None)
    )
    return failed_again(replace(forgotten, state=RuleState.FAILED, reason=reason, detail=words), rule_id, now)


def beside(status: RuleStatus, claimed: Rule, newer: Rule, now: datetime) -> RuleStatus:
    """The status of a step, taken on `claimed`, beside what somebody else wrote meanwhile: theirs stays."""
    theirs = newer.status
    # Who joined meanwhile runs unwatched: the idle time counts from the joining.
    up_since = status.up_since if newer.members == claimed.members else theirs.up_since
    return replace(
        status,
        claim=None,
        woken_at=theirs.woken_at,
        woken_by=theirs.woken_by,
        override=theirs.override,
        up_since=up_since,
        due_at=now,
    )


def unobserved(status: RuleStatus, error: CloudError, now: datetime) -> RuleStatus:
    """The status when AWS did not let us look. A failure that others rely on to know what still runs stays as it is."""
    due_at = now + (LOOK_RETRYABLE if error.retryable else LOOK_REFUSED)
    if status.state is RuleState.FAILED:
        return replace(status, due_at=due_at)
    words = diagnosed(error.code, error.message)
    return replace(status, reason=Reason.UNOBSERVABLE, detail=words, due_at=due_at)


def drained(status: RuleStatus, version: int, now: datetime, until: datetime) -> RuleStatus:
    """The status once the diversion is asked for, or renewed: a renewal keeps the moment of the first."""
    drain = status.drain.renewed(version, until) if status.drain else Drain(now, until, version)
    return replace(status, drain=drain)
