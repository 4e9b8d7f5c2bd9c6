"""A job's heartbeat: it says that a rule is in use where no traffic shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.guards import GuardMetric
from chalicelib.ports import LastActivity
from chalicelib.usecases.last_use import HEARTBEAT

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.ports import ActivityStore, Clock, RuleRepository


@dataclass(slots=True)
class Heartbeat:
    """One read and one write; a stop that is under way sees it at its next look."""

    rules: RuleRepository
    activity: ActivityStore
    clock: Clock

    def post(self, rule_id: str) -> datetime:
        """Store it; answers until when it vetoes a stop. Raises NotFoundError."""
        rule, now = self.rules.get(rule_id), self.clock.now()
        self.activity.seen(rule_id, LastActivity(HEARTBEAT, now))
        windows = [guard.window for guard in rule.spec.guards if guard.metric is GuardMetric.HEARTBEAT]
        return now + max(windows, default=rule.spec.idle)
