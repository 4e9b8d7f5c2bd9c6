"""Explain: the decision as it would be taken now, with everything it stands on. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.decide import decide
from chalicelib.domain.schedules import preview

if TYPE_CHECKING:
    from chalicelib.domain.activity import Source
    from chalicelib.domain.decisions import Decision
    from chalicelib.domain.facts import Use
    from chalicelib.domain.rules import Rule
    from chalicelib.domain.schedules import PlannedSpan
    from chalicelib.ports import Clock, RuleRepository
    from chalicelib.usecases.observe import Observer


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision now, what it was made from, and what the schedules say in the next seven days."""

    rule: Rule
    decision: Decision
    sources: tuple[Source, ...]
    last_use: Use | None
    planned: tuple[PlannedSpan, ...]


@dataclass(slots=True)
class Explain:
    """Observe and decide, without claim, act or record."""

    rules: RuleRepository
    observer: Observer
    clock: Clock

    def run(self, rule_id: str) -> Explanation:
        """Raises NotFoundError, CloudError."""
        rule = self.rules.get(rule_id)
        now = self.clock.now()
        facts = self.observer.facts(rule, self.observer.look([rule], now), now)
        planned = preview(facts.schedules, now, self.observer.recurrences) if facts.schedules else ()
        return Explanation(rule, decide(rule, facts, now), facts.sources, facts.last_use, planned)
