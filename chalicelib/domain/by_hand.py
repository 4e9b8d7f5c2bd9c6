"""What somebody else started or stopped outside AutoStop, and what the policy `on_manual_change` makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.domain.aws_restart import restarted
from chalicelib.domain.decisions import AT_REST, RESYNC, Desired, Reason, Wish
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import RuleState

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.facts import Facts
    from chalicelib.domain.rules import Rule
    from chalicelib.domain.schedules import ScheduleVerdict


SOMEBODY = "somebody"
"""The actor of what was done outside AutoStop; who that was in person tells CloudTrail (`ec2_calls`)."""


def found_stopped(rule: Rule, facts: Facts) -> bool:
    """Whether somebody else stopped what we believed to be up: not where all that ran has left the rule."""
    ran = {seen.id for seen in rule.status.seen if seen.state is ResourceState.RUNNING}
    left = bool(rule.members) and not ran & {resource.ref.id for resource in facts.existing}
    return (
        not left
        and rule.status.state is RuleState.UP
        and rule.status.stop_requested_at is None
        and bool(facts.existing)
        and len(facts.within(ResourceState.STOPPING, ResourceState.STOPPED)) == len(facts.existing)
    )


def found_started(rule: Rule, facts: Facts) -> bool:
    """Whether somebody else started what we believed to be down."""
    return (
        rule.status.state is RuleState.DOWN
        and rule.status.start_requested_at is None
        and bool(facts.within(ResourceState.RUNNING, ResourceState.PENDING))
    )


def by_hand(rule: Rule, facts: Facts, said: ScheduleVerdict, now: datetime) -> Wish | None:
    """With `respect`: as it was left, until it is used again or the next window begins.

    Of what was started by hand only schedules need to be told: traffic counts its idle time from the start on anyway.
    """
    if rule.spec.on_manual_change != "respect":
        return None
    status = rule.status
    stopped_at = now if found_stopped(rule, facts) else status.stopped_by_hand_at
    runs = bool(facts.within(ResourceState.RUNNING, ResourceState.PENDING))
    # What runs although it was stopped by hand was started by hand since, seen down or not: the later hand counts.
    by_aws = restarted(rule, facts, now) is not None
    again = not by_aws and (found_started(rule, facts) or (status.stopped_by_hand_at is not None and runs))
    # What AWS started again, nobody did: where there is evidence of use, it decides.
    left_so = not again and not (by_aws and facts.sources)
    if stopped_at is not None and left_so and not _superseded(stopped_at, facts, said):
        return Wish(Desired.DOWN, Reason.STOPPED_BY_HAND, now + AT_REST, _who(facts), by=_by(facts))
    started_at = now if again else status.started_by_hand_at
    if started_at is None or not facts.schedules or said.desired is Desired.UP or _superseded(started_at, facts, said):
        return None
    if not runs:
        return None
    return Wish(Desired.UP, Reason.STARTED_BY_HAND, now + RESYNC, _who(facts), may_start=False, by=SOMEBODY)


def _superseded(since: datetime, facts: Facts, said: ScheduleVerdict) -> bool:
    if facts.last_use is not None and facts.last_use.at > since:
        return True
    return said.window is not None and said.window.start is not None and said.window.start > since


def _by(facts: Facts) -> str:
    """Who stopped it, as far as AWS's reason of the last transition tells.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
    """
    codes = {r.state_reason.partition(":")[0] for r in facts.existing if r.state_reason}
    if codes and all(code.startswith("Server.") for code in codes):
        return "aws"
    return "the guest" if codes == {"Client.InstanceInitiatedShutdown"} else SOMEBODY


def _who(facts: Facts) -> str | None:
    """AWS's own words of the last transition, as in `Client.UserInitiatedShutdown: User initiated shutdown`."""
    said = sorted({resource.state_reason for resource in facts.existing if resource.state_reason})
    return f"AWS says: {'; '.join(said)}." if said else None
