"""AWS starts a database that has been stopped for seven days: recognised, told from a start by hand. Pure.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.resources import ResourceKind, ResourceState
from chalicelib.domain.rules import RuleState

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.facts import Facts
    from chalicelib.domain.rules import Rule

LONGEST_STOP = timedelta(days=7)

EARLY = timedelta(hours=1)
"""So much before the time that it names AWS may begin: a person who starts a database then pays for nothing longer."""


def restarted(rule: Rule, facts: Facts, now: datetime) -> datetime | None:
    """Since when it is known that it runs only because AWS started it; None where it runs for any other reason.

    Known by AWS's event (`facts.restarted_by_aws`), by the time that AWS named while it was stopped, or, where nobody
    looked at it in all that time, by seven days since our own stop.
    """
    status = rule.status
    if rule.spec.kind is not ResourceKind.RDS or status.start_requested_at is not None or not _up(facts):
        return None
    since = status.restarted_at
    if since is None and _found_started(rule) and (facts.restarted_by_aws or _was_due(rule, _up(facts), now)):
        since = now
    used = facts.last_use
    return None if since is None or (used is not None and used.at > since) else since


def _up(facts: Facts) -> frozenset[str]:
    """The ids of what runs or is about to."""
    return frozenset(r.ref.id for r in facts.within(ResourceState.RUNNING, ResourceState.PENDING))


def _found_started(rule: Rule) -> bool:
    """Down as we knew it; or up again so recently that AWS's own word of why can come after our look at it."""
    status = rule.status
    starting = status.state is RuleState.STARTING and status.stop_requested_at is not None
    return starting or status.state is RuleState.DOWN


def _was_due(rule: Rule, up: frozenset[str], now: datetime) -> bool:
    named = [seen.restarts_at for seen in rule.status.seen if seen.id in up and seen.restarts_at is not None]
    if named:
        return all(now >= at - EARLY for at in named)
    stopped_at = rule.status.stop_requested_at
    return stopped_at is not None and now >= stopped_at + LONGEST_STOP - EARLY
