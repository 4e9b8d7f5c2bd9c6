"""Desired state: should the rule be up or down? First match of the precedence wins (design, section 2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.aws_restart import restarted
from chalicelib.domain.by_hand import by_hand
from chalicelib.domain.decisions import AT_REST, RESYNC, Desired, Reason, Wish
from chalicelib.domain.guards import Guard, GuardMetric, judge_heartbeat
from chalicelib.domain.neighbours import names
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import OverrideKind
from chalicelib.domain.schedules import ScheduleVerdict, rests_outside, verdict

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.activity import Source
    from chalicelib.domain.facts import Facts
    from chalicelib.domain.rules import Rule

SHORTEST_LOOK = timedelta(seconds=2)

UNREAD = "Its guards have not been read."
"""Not a veto of the world, but of not having looked: whoever observes reads the guards and decides again."""

_NOTHING_SAID = ScheduleVerdict(None, None, None)


def wish(rule: Rule, facts: Facts, now: datetime) -> Wish:
    """Compute the desired state of an enabled rule. What its schedules say can change it at their next boundary."""
    said = verdict(facts.schedules, now, facts.recurring) if facts.schedules else _NOTHING_SAID
    wanted = _first_match(rule, facts, said, now)
    if said.until is not None and said.until < wanted.until:
        return replace(wanted, until=said.until)
    return wanted


def waits_for_guards(rule: Rule, facts: Facts, now: datetime) -> bool:
    """Whether nothing but unread guards keeps this rule from being stopped."""
    if not rule.spec.enabled or facts.guards is not None:
        return False
    wanted = wish(rule, facts, now)
    return wanted.reason is Reason.GUARDED and wanted.detail == UNREAD


def waits_for_evidence(rule: Rule, facts: Facts, now: datetime) -> datetime | None:
    """Since when quiet would have to be proven, where that is what the decision now hangs on; else None.

    It hangs on that where only sources that were not asked keep it up, and where a diversion waits to be confirmed.
    """
    if not rule.spec.enabled or all(source.asked for source in facts.sources):
        return None
    wanted = wish(rule, facts, now)
    confirming = rule.status.drain is not None and wanted.desired is Desired.DOWN
    return _quiet_since(rule, facts, now) if confirming or wanted.reason is Reason.BLIND else None


def _first_match(rule: Rule, facts: Facts, said: ScheduleVerdict, now: datetime) -> Wish:
    return (
        _by_override(rule, facts, now)
        or (_by_need(facts, now) if facts.dependents else None)
        or by_hand(rule, facts, said, now)
        or _by_schedule(said, now)
        or _at_rest(rule, facts, now)
        or _by_traffic(rule, facts, now)
    )


def _by_override(rule: Rule, facts: Facts, now: datetime) -> Wish | None:
    override = rule.status.override
    if override is None or not override.in_force(now):
        return None
    until, by = min(override.until, now + RESYNC), f"key {override.by}"
    if override.kind is OverrideKind.WARM_UP:
        return Wish(Desired.UP, Reason.WARM_UP, until, override.reason, ordered=True, by=by)
    holding = tuple(dependent for dependent in facts.dependents if dependent.holds_us)
    if holding and not override.force:
        waits = f"A cool-down waits for {names(holding)}."
        return Wish(Desired.UP, Reason.NEEDED, until, waits, may_start=False)
    at_rest = min(override.until, now + AT_REST)
    return Wish(Desired.DOWN, Reason.COOL_DOWN, at_rest, override.reason, ordered=True, forced=override.force, by=by)


def _by_need(facts: Facts, now: datetime) -> Wish | None:
    """A rule stays up while anyone that is up or starting needs it, and until whoever is going down is down."""
    needing = tuple(dependent for dependent in facts.dependents if dependent.needs_us)
    if needing:
        return Wish(Desired.UP, Reason.NEEDED, now + RESYNC, f"By {names(needing)}.", by=f"rule {needing[0].rule.id}")
    holding = tuple(dependent for dependent in facts.dependents if dependent.holds_us)
    if holding and facts.within(ResourceState.RUNNING, ResourceState.PENDING):
        waits = f"{names(holding)} goes down first."
        return Wish(Desired.UP, Reason.NEEDED, now + RESYNC, waits, may_start=False)
    return None


def _by_schedule(said: ScheduleVerdict, now: datetime) -> Wish | None:
    if said.schedule is None:
        return None
    words, by = f"{said.schedule.name} ({said.schedule.id}).", f"schedule {said.schedule.id}"
    if said.desired is Desired.UP:
        return Wish(Desired.UP, Reason.UPTIME, now + RESYNC, words, by=by)
    ends = said.window.end if said.window else None
    return Wish(Desired.DOWN, Reason.DOWNTIME, now + AT_REST, words, ordered=True, ends=ends, by=by)


def _at_rest(rule: Rule, facts: Facts, now: datetime) -> Wish | None:
    """A rule without an activity source: its schedules say when it is needed, or the rules that depend on it do.

    That nobody is seen to use it proves nothing here; that a person gave it only these reasons to be up does.
    """
    if rule.spec.load_balancer_id is not None or facts.sources or not (facts.schedules or facts.dependents):
        return None
    if facts.schedules and rests_outside(facts.schedules) is Desired.UP:
        return Wish(Desired.UP, Reason.UPTIME, now + RESYNC, "Outside its downtime windows.")
    needed_until = max((d.rule.status.since for d in facts.dependents if d.rule.status.since), default=None)
    runs = facts.within(ResourceState.RUNNING, ResourceState.PENDING)
    if runs and needed_until is not None and now < needed_until + rule.spec.idle:
        recently = "A rule that depends on it went down less than its idle time ago."
        return Wish(Desired.UP, Reason.NEEDED, needed_until + rule.spec.idle, recently, may_start=False)
    return Wish(Desired.DOWN, Reason.RESTING, now + AT_REST, ordered=True, by=_last_window(facts))


def _by_traffic(rule: Rule, facts: Facts, now: datetime) -> Wish:
    status, idle = rule.status, rule.spec.idle
    resync = now + RESYNC
    stopped_at = status.stop_requested_at
    in_aws_up = facts.within(ResourceState.RUNNING, ResourceState.PENDING)
    used = facts.last_use
    if used and now < used.at + idle and (in_aws_up or stopped_at is None or used.at >= stopped_at):
        # A use older than our own last stop is what that stop was decided on (or ordered against): no reason to start.
        return Wish(Desired.UP, Reason.ACTIVE, min(used.at + idle + facts.late, resync), by=used.source)
    if not in_aws_up:
        return Wish(Desired.DOWN, Reason.IDLE, now + AT_REST)
    return _idle_while_running(rule, facts, now)


def _idle_while_running(rule: Rule, facts: Facts, now: datetime) -> Wish:
    """Idle, or only unseen? Unknown is not idle: every way of not knowing keeps the rule up."""
    idle = rule.spec.idle
    up_since = _up_since(rule, facts, now)
    if now < up_since + idle and not restarted(rule, facts, now):
        recently = "Up for less than its idle time."
        return Wish(Desired.UP, Reason.ACTIVE, min(up_since + idle, now + RESYNC), recently, may_start=False)
    if not facts.sources:
        return Wish(Desired.UP, Reason.NO_SOURCE, now + AT_REST, may_start=False)
    silent = facts.silent(now)
    if silent:
        return Wish(Desired.UP, Reason.BLIND, _soon(now, idle), _who_is_silent(silent, now), may_start=False)
    proven = facts.proven_quiet(_quiet_since(rule, facts, now))
    if proven < idle:
        until = now + max(idle - proven, SHORTEST_LOOK, facts.pace)
        return Wish(Desired.UP, Reason.AWAITING_EVIDENCE, min(until, now + RESYNC), may_start=False)
    vetoed = _veto(rule, facts, now)
    if vetoed is not None:
        return Wish(Desired.UP, Reason.GUARDED, _soon(now, idle), vetoed, may_start=False)
    return Wish(Desired.DOWN, Reason.IDLE, now + RESYNC)


def _quiet_since(rule: Rule, facts: Facts, now: datetime) -> datetime:
    """The end of what it was last used for, or where that is later, the moment that it was up.

    A start by AWS is nobody's: what was proven before it counts too.
    """
    known_since = rule.created_at if restarted(rule, facts, now) else _up_since(rule, facts, now)
    return max(known_since, facts.last_use.at) if facts.last_use else known_since


def _up_since(rule: Rule, facts: Facts, now: datetime) -> datetime:
    """Since when it has been up, by what we saw or, where that is later, by when AWS says that it was last started.

    Somebody can have stopped and started it between two looks: nothing before that start says that it is idle now.
    """
    since = rule.status.up_since or now
    for resource in facts.within(ResourceState.RUNNING):
        if resource.launched_at is not None and since < resource.launched_at:
            since = min(resource.launched_at, now)
    return since


def _last_window(facts: Facts) -> str | None:
    """The schedule whose window is over; None where there is more than one that it could be."""
    return f"schedule {facts.schedules[0].id}" if len(facts.schedules) == 1 else None


def _veto(rule: Rule, facts: Facts, now: datetime) -> str | None:
    """Why a guard forbids the stop that idleness wants, None if none does.

    A job's heartbeat vetoes for the idle time also where no guard says so. The other guards are read only when the next
    step would act: before the diversion, and once more when it is confirmed.
    """
    heartbeats = [guard for guard in rule.spec.guards if guard.metric is GuardMetric.HEARTBEAT]
    for guard in heartbeats or (Guard(GuardMetric.HEARTBEAT, 0, rule.spec.idle),):
        beat = judge_heartbeat(guard, facts.heartbeat_at, now)
        if beat.vetoes:
            return beat.words
    if len(heartbeats) == len(rule.spec.guards) or not facts.about_to_act(rule.status.drain, now):
        return None
    if facts.guards is None:
        return UNREAD
    return next((reading.words for reading in facts.guards if reading.vetoes), None)


def _soon(now: datetime, idle: timedelta) -> datetime:
    return now + min(max(idle / 4, SHORTEST_LOOK), timedelta(minutes=1))


def _who_is_silent(silent: tuple[Source, ...], now: datetime) -> str:
    words = []
    for source in silent:
        age = f"for {int((now - source.span.end).total_seconds())} s" if source.span else "since it is known"
        words.append(f"{source.title} has proven nothing {age}")
    return "; ".join(words) + "."
