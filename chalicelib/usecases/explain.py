"""Explain: the decision as it would be taken now, with everything it stands on. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.decide import decide
from chalicelib.usecases.observe import Observer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.domain.activity import Source
    from chalicelib.domain.decisions import Decision
    from chalicelib.domain.facts import Use
    from chalicelib.domain.resources import ResourceKind
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import ActivityStore, Clock, Compute, ProxyStore, RuleRepository


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision now, and what it was made from."""

    rule: Rule
    decision: Decision
    sources: tuple[Source, ...]
    last_use: Use | None


@dataclass(slots=True)
class Explain:
    """Observe and decide, without claim, act or record."""

    rules: RuleRepository
    activity: ActivityStore
    proxies: ProxyStore
    computes: Mapping[ResourceKind, Compute]
    clock: Clock

    def run(self, rule_id: str) -> Explanation:
        """Raises NotFoundError, CloudError."""
        rule = self.rules.get(rule_id)
        observer = Observer(self.activity, self.proxies, self.computes)
        now = self.clock.now()
        facts = observer.facts(rule, observer.look([rule], now))
        return Explanation(rule, decide(rule, facts, now), facts.sources, facts.last_use)
