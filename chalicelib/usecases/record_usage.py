"""Record usage: what a look saw of a rule's resources, for the savings. It costs a write only where that changed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.errors import CloudError, VersionMismatchError
from chalicelib.domain.looks import can_add, last_look, look_at, scheduled_up
from chalicelib.domain.recording import first_day, recorded

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.decisions import Decision
    from chalicelib.domain.facts import Facts
    from chalicelib.domain.recording import Look
    from chalicelib.domain.rules import Rule
    from chalicelib.domain.schedules import Recurrences
    from chalicelib.ports import UsageRecords

TRIES = 5

log = logging.getLogger(__name__)


@dataclass(slots=True)
class RecordUsage:
    """What it fails to store, a look stores within eight hours: no failure of it may hold up a start or a stop."""

    records: UsageRecords
    recurrences: Recurrences

    def look(self, rule: Rule, facts: Facts, decision: Decision, at: datetime) -> None:
        """Record a look that was `at` some time; `rule` is as it was before it."""
        if can_add(rule, facts, at):
            first = first_day(rule.status.observed_at, at)
            scheduled = scheduled_up(facts.schedules, first, at.date(), self.recurrences)
            self._store(look_at(rule, facts, decision, at, scheduled))

    def close(self, rule: Rule, at: datetime) -> None:
        """Record that the rule is there no more."""
        self._store(last_look(rule, at))

    def _store(self, look: Look) -> None:
        try:
            for _ in range(TRIES):
                try:
                    for record in recorded(self.records.of_rule(look.rule_id, look.first_day, look.at.date()), look):
                        self.records.save(record)
                except VersionMismatchError:
                    continue  # somebody else recorded a look: what ours adds to theirs
                return
            log.warning("usage was not recorded: others write again and again", extra={"rule": look.rule_id})
        except CloudError as error:
            log.warning("usage was not recorded", extra={"rule": look.rule_id, "error": str(error)})
