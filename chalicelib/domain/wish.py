"""Desired state: should the rule be up or down? First match of the precedence wins (design, section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.decisions import Desired, Reason
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import OverrideKind, RuleState

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.activity import Source
    from chalicelib.domain.facts import Facts
    from chalicelib.domain.rules import Rule

RESYNC = timedelta(minutes=10)
"""How long a quiet rule goes unlooked at when every event is lost."""

SHORTEST_LOOK = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the rule should be, why, and until when that holds if nothing happens.

    `may_start` is False where staying up is caution and no reason to start anything.
    `ordered` tells a person's order from what evidence allows; `forced`, one that cuts users off.
    """

    desired: Desired
    reason: Reason
    until: datetime
    detail: str | None = None
    may_start: bool = True
    ordered: bool = False
    forced: bool = False


def wish(rule: Rule, facts: Facts, now: datetime) -> Wish:
    """Compute the desired state of an enabled rule."""
    override = rule.status.override
    if override and override.in_force(now):
        until = min(override.until, now + RESYNC)
        if override.kind is OverrideKind.WARM_UP:
            return Wish(Desired.UP, Reason.WARM_UP, until, override.reason, ordered=True)
        return Wish(Desired.DOWN, Reason.COOL_DOWN, until, override.reason, ordered=True, forced=override.force)
    return _by_traffic(rule, facts, now)


def found_stopped_by_hand(rule: Rule, facts: Facts) -> bool:
    """Whether somebody else stopped what we believed to be up."""
    return (
        rule.status.state is RuleState.UP
        and rule.status.stop_requested_at is None
        and bool(facts.existing)
        and len(facts.within(ResourceState.STOPPING, ResourceState.STOPPED)) == len(facts.existing)
    )


def _by_traffic(rule: Rule, facts: Facts, now: datetime) -> Wish:
    status, idle = rule.status, rule.spec.idle
    resync = now + RESYNC
    stopped_at = status.stop_requested_at
    if rule.spec.on_manual_change == "respect":
        by_hand = now if found_stopped_by_hand(rule, facts) else status.stopped_by_hand_at
        if by_hand and not (facts.last_use and facts.last_use.at > by_hand):
            return Wish(Desired.DOWN, Reason.STOPPED_BY_HAND, resync)
    in_aws_up = facts.within(ResourceState.RUNNING, ResourceState.PENDING)
    used = facts.last_use
    if used and now < used.at + idle and (in_aws_up or stopped_at is None or used.at >= stopped_at):
        # A use older than our own last stop is what that stop was decided on (or ordered against): no reason to start.
        return Wish(Desired.UP, Reason.ACTIVE, min(used.at + idle, resync))
    if not in_aws_up:
        return Wish(Desired.DOWN, Reason.IDLE, resync)
    return _idle_while_running(rule, facts, now)


def _idle_while_running(rule: Rule, facts: Facts, now: datetime) -> Wish:
    """Idle, or only unseen? Unknown is not idle: every way of not knowing keeps the rule up."""
    idle = rule.spec.idle
    up_since = rule.status.up_since
    if up_since is None or now < up_since + idle:
        began = up_since or now
        return Wish(Desired.UP, Reason.ACTIVE, min(began + idle, now + RESYNC), "Up for less than its idle time.")
    if not facts.sources:
        return Wish(Desired.UP, Reason.NO_SOURCE, now + RESYNC, may_start=False)
    silent = facts.silent(now)
    if silent:
        return Wish(Desired.UP, Reason.BLIND, _soon(now, idle), _who_is_silent(silent, now), may_start=False)
    anchor = max(up_since, facts.last_use.at) if facts.last_use else up_since
    proven = facts.proven_quiet(anchor)
    if proven < idle:
        until = now + max(idle - proven, SHORTEST_LOOK)
        return Wish(Desired.UP, Reason.AWAITING_EVIDENCE, min(until, now + RESYNC), may_start=False)
    return Wish(Desired.DOWN, Reason.IDLE, now + RESYNC)


def _soon(now: datetime, idle: timedelta) -> datetime:
    return now + min(max(idle / 4, SHORTEST_LOOK), timedelta(minutes=1))


def _who_is_silent(silent: tuple[Source, ...], now: datetime) -> str:
    words = []
    for source in silent:
        age = f"for {int((now - source.span.end).total_seconds())} s" if source.span else "since it is known"
        words.append(f"proxy {source.name} has proven nothing {age}")
    return "; ".join(words) + "."
