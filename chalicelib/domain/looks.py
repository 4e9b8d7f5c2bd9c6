"""A reconcile's look at a rule as the records of usage see it: what counts as up, and whether it can add anything."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from chalicelib.domain.decisions import Desired, Reason
from chalicelib.domain.intervals import merged
from chalicelib.domain.products import Ec2Product
from chalicelib.domain.recording import Look, Sight
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.schedules import preview, rests_outside
from chalicelib.domain.usage import IntervalState
from chalicelib.domain.usage_days import Paid, midnight

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from chalicelib.domain.decisions import Decision
    from chalicelib.domain.facts import Facts
    from chalicelib.domain.intervals import Stretch
    from chalicelib.domain.resources import ObservedResource
    from chalicelib.domain.rules import Rule
    from chalicelib.domain.schedules import Recurrences, Schedule

LATE = timedelta(minutes=30)
"""So much later than planned a look may come before the time since the one before it is unknown."""

_COUNTED = {
    # AWS bills neither pending nor, but for hibernation, stopping: up all the same, so that no saving is overstated.
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
    ResourceState.PENDING: IntervalState.UP,
    ResourceState.RUNNING: IntervalState.UP,
    ResourceState.STOPPING: IntervalState.UP,
    ResourceState.STOPPED: IntervalState.DOWN,
}


_STAYS_UP = frozenset({Reason.PROTECTED, Reason.PAUSED, Reason.BUSY, Reason.FAULTY})
"""Why nothing would be stopped that is wished down."""


def can_add(rule: Rule, facts: Facts, at: datetime) -> bool:
    """Whether a look can add to the records: if not, they need not even be read. `rule` is as it was before the look.

    In each third of a day it can once whatever it saw: what an earlier look failed to store is stored then.
    """
    since = rule.status.observed_at
    if since is None or rule.spec.dry_run or rule.updated_at >= since:
        return True
    if _third(since) != _third(at) or overdue(rule, at):
        return True
    if any(resource.launched_at and resource.launched_at > since for resource in facts.resources):
        return True
    before = {seen.id: _COUNTED.get(seen.state) for seen in rule.status.seen}
    return before != {seen.ref.id: _COUNTED.get(seen.state) for seen in facts.resources}


def _third(at: datetime) -> tuple[date, int]:
    return at.date(), at.hour // 8


def look_at(rule: Rule, facts: Facts, decision: Decision, at: datetime, scheduled: tuple[Stretch, ...] | None) -> Look:
    """The look of a reconcile that decided so on these facts. `rule` is as it was before it."""
    down_before = {seen.id for seen in rule.status.seen if seen.state is ResourceState.STOPPED}
    sights = tuple(
        _as_it_would_be(resource, decision)
        if rule.spec.dry_run and rule.spec.enabled
        else Sight(_paid(resource), _COUNTED[resource.state], resource.ref.id in down_before, resource.launched_at)
        for resource in facts.existing
    )
    return _look(rule, at, sights, scheduled)


def last_look(rule: Rule, at: datetime) -> Look:
    """The look that closes the records of a rule that is there no more."""
    return _look(rule, at, (), None)


def scheduled_up(
    schedules: Sequence[Schedule], first: date, last: date, recurrences: Recurrences
) -> tuple[Stretch, ...] | None:
    """When, on these UTC days, the schedules alone would have a rule up; None without any."""
    if not schedules:
        return None
    outside = rests_outside(schedules)
    planned = preview(schedules, midnight(first), recurrences, (last - first).days + 1)
    return tuple(
        merged(
            (span.start, span.end)
            for span in planned
            if (span.kind.desired if span.kind is not None else outside) is Desired.UP
        )
    )


def _look(rule: Rule, at: datetime, sights: tuple[Sight, ...], scheduled: tuple[Stretch, ...] | None) -> Look:
    cost = rule.spec.hourly_cost
    return Look(
        rule.id,
        at,
        rule.status.observed_at,
        overdue(rule, at),
        rule.spec.dry_run,
        sights,
        rule.spec.load_balancer_id,
        None if cost is None else Decimal(str(cost)),
        scheduled,
    )


def overdue(rule: Rule, at: datetime) -> bool:
    """Whether at this time a look is so late that nobody can tell what was since the last one."""
    since, planned = rule.status.observed_at, rule.status.due_at
    return since is not None and at > max(planned or since, since) + LATE


def _as_it_would_be(resource: ObservedResource, decision: Decision) -> Sight:
    """Up while the decision wants it up. What must not be stopped, or not now, would be up however idle it is."""
    down = decision.desired is Desired.DOWN and decision.reason not in _STAYS_UP
    return Sight(_paid(resource), IntervalState.DOWN if down else IntervalState.UP, was_down=True)


def _paid(resource: ObservedResource) -> Paid:
    product = resource.product
    return Paid(resource.ref, ec2=product) if isinstance(product, Ec2Product) else Paid(resource.ref, rds=product)
