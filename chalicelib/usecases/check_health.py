"""`GET /health/deep`: a few reads that tell an operator how well the stage is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain import deep_health
from chalicelib.domain.deep_health import Check, Health, SeenProxy
from chalicelib.domain.errors import AutoStopError
from chalicelib.domain.load_balancers import LoadBalancerKind
from chalicelib.domain.members import heard_of
from chalicelib.domain.rules import RuleState
from chalicelib.usecases.measure_step import BLIND

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.ports import (
        AgentReports,
        Clock,
        LoadBalancerRepository,
        ProxyStore,
        RuleRepository,
        RuleStatusStore,
    )
    from chalicelib.ports.backlogs import Backlogs

MOST_RULES = 500
MOST_PROXIES = 20
"""Load balancers whose proxies are looked at: two reads each. `autostop doctor` looks at all."""


@dataclass(slots=True)
class CheckHealth:
    """At most five reads and two for each of 20 load balancers; one that fails is a check that says so."""

    rules: RuleRepository
    status: RuleStatusStore
    balancers: LoadBalancerRepository
    proxies: ProxyStore
    agents: AgentReports
    backlogs: Backlogs
    clock: Clock
    version: str

    def run(self) -> tuple[Check, ...]:
        """Everything that is looked at."""
        return tuple(
            self._tried(name, look)
            for name, look in (
                ("schedule", self._schedule),
                ("rules", self._rules),
                ("queue", self._queue),
                ("proxies", self._proxies),
            )
        )

    def _tried(self, name: str, look: Callable[[], Check]) -> Check:
        try:
            return look()
        except AutoStopError as error:
            return Check(name, Health.FAILING, f"cannot be looked at: {error}")

    def _schedule(self) -> Check:
        now = self.clock.now()
        due = self.status.due(now, 1).items
        return deep_health.of_schedule(due[0].due_at if due else None, now)

    def _rules(self) -> Check:
        page = self.rules.list(MOST_RULES)
        blind = sum(rule.status.reason in BLIND for rule in page.items)
        failed = sum(rule.status.state is RuleState.FAILED for rule in page.items)
        return deep_health.of_rules(len(page.items), blind, failed, more=page.next_cursor is not None)

    def _queue(self) -> Check:
        backlog = self.backlogs.now()
        return deep_health.of_queue(backlog.waiting, backlog.dead)

    def _proxies(self) -> Check:
        now, seen = self.clock.now(), list[SeenProxy]()
        listed = self.balancers.list(MOST_PROXIES).items
        for balancer in (one for one in listed if one.kind is LoadBalancerKind.PROXY):
            agents = {agent.member: agent for agent in heard_of(self.agents.of(balancer.id), now)}
            for source in self.proxies.sources(balancer.id):
                until = None if source.span is None else source.span.end
                seen.append(SeenProxy(f"{balancer.id}/{source.name}", until, agents.get(source.name)))
        return deep_health.of_proxies(seen, self.version, now)
