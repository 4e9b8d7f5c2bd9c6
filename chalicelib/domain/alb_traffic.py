"""Where an ALB sends the traffic of a rule, and what its metrics prove of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING

from chalicelib.domain.activity import Source, Span
from chalicelib.domain.alb_ignored import LOGS_LATE, MINUTE, unexplained
from chalicelib.domain.decisions import Action, Desired
from chalicelib.domain.guards import Guard, GuardMetric
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import RuleState
from chalicelib.domain.wish import waits_for_evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.decisions import Decision
    from chalicelib.domain.facts import Facts
    from chalicelib.domain.guards import Sample
    from chalicelib.domain.rules import Rule, RuleSpec

WEIGHT = 100

NEWEST = timedelta(minutes=2)
"""However new the newest point is: the last minutes of a metric may still grow (research/feasibility.md, A2)."""

MAX_SILENCE = timedelta(minutes=10)
"""CloudWatch is late by minutes at times; by more than that it is silent."""

PACE = timedelta(seconds=30)
"""Its metrics have a point a minute and are paid for each time that they are asked for."""

READ_BEFORE = timedelta(minutes=30)
"""So much more than the idle time is read, for what CloudWatch is late by; the rest proves nothing that is asked."""

GUARD_ABOVE = 200_000
"""Bytes a minute: above what health checks of an ALB, time and SSM make, below what a download or a stream does."""

GUARD_WINDOW = timedelta(minutes=10)


class Position(StrEnum):
    """Where the weights of a rule's listener rules send what comes. `missing`: it has none that forward."""

    INSTANCES = "instances"
    FUNCTION = "function"
    MIXED = "mixed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class AlbPlace:
    """An ALB as made, and the target group of the warm-up function on it."""

    load_balancer_id: str
    region: str
    alb_arn: str
    listener_arns: tuple[str, ...]
    function_group: str
    logged: bool = False
    """Whether its access log is ours to read."""


@dataclass(frozen=True, slots=True)
class Weights:
    """One listener rule of ours: its ARN, and the weight of each target group."""

    arn: str
    groups: tuple[tuple[str, int], ...]

    def position(self, function_group: str) -> Position:
        """Where it sends what comes; a weight of zero gets nothing."""
        goes_to = {arn == function_group for arn, weight in self.groups if weight > 0}
        if len(goes_to) != 1:
            return Position.MIXED
        return Position.FUNCTION if goes_to.pop() else Position.INSTANCES

    def put(self, position: Position, function_group: str) -> Weights:
        """The same listener rule with all of its traffic there; every group stays in it, so that all are checked.

        The function's group is added where somebody took it out. Without any of instances it stays as it is: nowhere
        to send to is an error for everyone.
        """
        to_function = position is Position.FUNCTION
        arns = dict.fromkeys((*(arn for arn, _ in self.groups), function_group))
        if len(arns) == 1 and not to_function:
            return self
        return replace(
            self, groups=tuple((arn, WEIGHT if (arn == function_group) is to_function else 0) for arn in arns)
        )


@dataclass(frozen=True, slots=True)
class RuleTraffic:
    """The listener rules of one rule that forward, as they are now."""

    rule_id: str
    place: AlbPlace
    weights: tuple[Weights, ...] = ()

    @property
    def position(self) -> Position:
        """Where all of them send what comes."""
        found = {each.position(self.place.function_group) for each in self.weights}
        if not found:
            return Position.MISSING
        return found.pop() if len(found) == 1 else Position.MIXED

    @property
    def instance_groups(self) -> tuple[str, ...]:
        """The ARNs of the target groups that are not the function's."""
        arns = {arn for each in self.weights for arn, _ in each.groups if arn != self.place.function_group}
        return tuple(sorted(arns))

    def to_change(self, position: Position) -> tuple[Weights, ...]:
        """What its listener rules must become; those that are so already are left out."""
        function = self.place.function_group
        changed = [(each, each.put(position, function)) for each in self.weights]
        return tuple(new for old, new in changed if old.position(function) is not position and new != old)


@dataclass(frozen=True, slots=True)
class AlbSeries:
    """A metric of an ALB, by minutes: the requests to one target group, or (None) the LCUs of all of it."""

    region: str
    alb_arn: str
    group_arn: str | None = None


def source_of(traffic: RuleTraffic) -> Source:
    """The source that nobody has asked yet: before the idle time can have passed nothing that it knows matters."""
    name = traffic.place.load_balancer_id
    diverted = traffic.position is Position.FUNCTION
    silence = MAX_SILENCE
    return Source(name, None, silence, kind="load balancer", asked=False, pace=PACE, late=NEWEST, diverted=diverted)


def proven(
    source: Source,
    requests: Sequence[Sequence[Sample]],
    lcus: Sequence[Sample],
    since: datetime,
    now: datetime,
    ignored: Mapping[datetime, int] | None = None,
) -> tuple[Source, datetime | None]:
    """What the metrics of [since, now) prove: the source with its span, and the newest use.

    RequestCount has no point for a minute without requests, and none for one that CloudWatch has not got yet.
    ConsumedLCUs is always reported: only up to its newest point is the absence of the other a zero.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html

    `ignored` are the requests that the access log tells of and the rule ignores, by the beginning of minutes; None
    where there is no such log. Requests that it does not explain are use, and while it can still be late, unknown.
    """
    asked = replace(source, asked=True)
    end = min(max(sample.end for sample in lcus), now - NEWEST) if lcus else None
    unknown: list[datetime] = []
    if ignored is None:
        busy = [sample.end for samples in requests for sample in samples if sample.value > 0]
    else:
        asked = replace(asked, max_silence=MAX_SILENCE + LOGS_LATE)
        busy, unknown = _told_apart(requests, ignored, since, end, now)
    # A use is as late in its minute as it can have been.
    last = max(busy, default=None)
    used = None if last is None else min(last, now)
    if end is None:
        return asked, used
    end = min([end, *unknown])
    return replace(asked, span=Span(min(since, end), end)), used


def _told_apart(
    requests: Sequence[Sequence[Sample]],
    ignored: Mapping[datetime, int],
    since: datetime,
    end: datetime | None,
    now: datetime,
) -> tuple[list[datetime], list[datetime]]:
    """The ends of minutes after `since` that had a use, and the beginnings of those of which it is not known yet.

    Beyond `end` nobody knows all that was counted, so that a line from there could explain what it does not; without an
    `end` nothing can be told apart.
    """
    if end is None:
        return [], []
    counted: dict[datetime, int] = {}
    for sample in (sample for samples in requests for sample in samples):
        counted[sample.start] = counted.get(sample.start, 0) + ceil(sample.value)
    known = {minute: lines for minute, lines in ignored.items() if minute < end}
    open_ = [minute for minute in unexplained(counted, known) if minute + MINUTE > since]
    busy = [minute + MINUTE for minute in open_ if minute + MINUTE <= now - LOGS_LATE]
    return busy, [minute for minute in open_ if minute + MINUTE > now - LOGS_LATE]


def read_from(rule: Rule, facts: Facts, now: datetime) -> datetime | None:
    """From when on the rule's metrics are to be read now; None: whatever they say, nothing would change."""
    if not facts.within(ResourceState.RUNNING):
        return None
    quiet_since = waits_for_evidence(rule, facts, now)
    if quiet_since is None:
        return None
    if rule.status.drain is not None:
        quiet_since = min(quiet_since, rule.status.drain.since)
    return max(quiet_since, now - rule.spec.idle - READ_BEFORE)


def wanted_position(spec: RuleSpec, decision: Decision, facts: Facts) -> Position | None:
    """Where the traffic of a rule belongs once its decision is carried out; None: where it is.

    What does not run cannot serve: its traffic belongs to the function, which shows the page and wakes. What is up
    has its traffic, and so has what runs on because a stop was refused. A dry run diverts nothing.
    """
    if decision.action in {Action.DRAIN, Action.STOP}:
        return Position.FUNCTION
    if not facts.within(ResourceState.RUNNING, ResourceState.PENDING):
        return None if spec.dry_run else Position.FUNCTION
    runs_on = decision.state is RuleState.FAILED and decision.desired is Desired.DOWN
    if (decision.state is RuleState.UP or runs_on) and facts.within(ResourceState.RUNNING):
        return Position.INSTANCES
    return None


def with_default_guard(spec: RuleSpec) -> RuleSpec:
    """An ALB counts a request when it begins: what lasts (WebSocket, a download) is seen by its bytes alone.

    So each rule on an ALB has a guard on the bytes that its resources send, unless it names one of its own.
    """
    if any(guard.metric is GuardMetric.NETWORK_BYTES for guard in spec.guards):
        return spec
    return replace(spec, guards=(*spec.guards, Guard(GuardMetric.NETWORK_BYTES, GUARD_ABOVE, GUARD_WINDOW)))
