"""The newest use of a rule that is stored. Apart from `observe`: whoever only shows it does without all of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.domain.facts import Use

if TYPE_CHECKING:
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import ActivityFacts

HEARTBEAT = "heartbeat"
"""The source under which a job's heartbeats are stored: they veto a stop, and are no use that could start anything."""


def last_use(rule: Rule, known: ActivityFacts) -> Use | None:
    """The newest use that anything has told us of: a source's activity, or a wake."""
    uses = [Use(last.at, last.source) for last in known.last if last.source != HEARTBEAT]
    if rule.status.woken_at is not None:
        uses.append(Use(rule.status.woken_at, rule.status.woken_by or "wake"))
    return max(uses, key=lambda use: use.at, default=None)
