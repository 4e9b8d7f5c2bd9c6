"""The smaller stores in memory, and all of them together."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from chalicelib.adapters.memory.account import MemoryAccount
from chalicelib.adapters.memory.back_offs import MemoryBackOffs
from chalicelib.adapters.memory.flows import MemoryFlows
from chalicelib.adapters.memory.holds import MemoryHolds
from chalicelib.adapters.memory.idempotency import Answers
from chalicelib.adapters.memory.member_reports import MemoryAgentReports, MemorySecretReports
from chalicelib.adapters.memory.paging import page
from chalicelib.adapters.memory.proxies import MemoryProxyStore
from chalicelib.adapters.memory.rules import MemoryRules
from chalicelib.adapters.memory.schedules import MemorySchedules
from chalicelib.adapters.memory.usage import MemoryUsage
from chalicelib.domain.errors import ConflictError, LostClaimError, NotFoundError, VersionMismatchError
from chalicelib.domain.flow_proof import FlowProof
from chalicelib.ports import ActivityFacts, Health, LastActivity, Total

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from chalicelib.domain.access import ApiKey
    from chalicelib.domain.events import Event
    from chalicelib.domain.flow_proof import Stretches
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.provision import Provision
    from chalicelib.ports import Clock, Idempotency, Page

KEPT = timedelta(days=90)


class MemoryActivity:
    """Implements ActivityStore."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[str, dict[str, datetime]] = defaultdict(dict)
        self._health: dict[str, dict[str, Health]] = defaultdict(dict)
        self._totals: dict[str, dict[tuple[str, str], Total]] = defaultdict(dict)
        self._stored: dict[tuple[str, str, int], set[str]] = defaultdict(set)
        self.flows: dict[str, dict[str, Stretches]] = defaultdict(dict)

    def seen(self, rule_id: str, activity: LastActivity) -> None:
        known = self._last[rule_id]
        known[activity.source] = max(known.get(activity.source, activity.at), activity.at)

    def add_totals(self, totals: Sequence[Total]) -> None:
        for total in totals:
            known = self._totals[total.rule_id]
            key = (total.minute, total.source)
            known[key] = known[key].larger(total) if key in known else total

    def count_stored(self, load_balancer_id: str, member: str, seq: int, summaries: frozenset[str]) -> int:
        stored = self._stored[load_balancer_id, member, seq]
        stored |= summaries
        return len(stored)

    def put_health(self, rule_id: str, health: Health) -> None:
        known = self._health[rule_id].get(health.member)
        if known is None or known.at <= health.at:
            self._health[rule_id][health.member] = health

    def facts(self, rule_id: str) -> ActivityFacts:
        last = tuple(LastActivity(source, at) for source, at in self._last.get(rule_id, {}).items())
        flows = tuple(FlowProof(name, known) for name, known in self.flows.get(rule_id, {}).items())
        return ActivityFacts(last, tuple(self._health.get(rule_id, {}).values()), flows)

    def history(self, rule_id: str, start: datetime, end: datetime) -> Sequence[Total]:
        oldest = max(start, self._clock.now() - KEPT)
        first, last = (at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M") for at in (oldest, end))
        found = [total for (minute, _), total in self._totals.get(rule_id, {}).items() if first <= minute < last]
        return sorted(found, key=lambda total: (total.minute, total.source))


class MemoryBalancers:
    """Implements LoadBalancerRepository and Provisions."""

    def __init__(self, proxies: MemoryProxyStore, clock: Clock) -> None:
        self._proxies = proxies
        self._balancers: dict[str, LoadBalancer] = {}
        self._answers = Answers(clock)

    def create(self, balancer: LoadBalancer, idempotency: Idempotency | None = None) -> LoadBalancer:
        if (known := self._answers.first(idempotency)) is not None:
            return self.get(known)
        self._balancers[balancer.id] = balancer
        self._proxies.open(balancer.id)
        self._answers.remember(idempotency, balancer.id)
        return balancer

    def get(self, load_balancer_id: str) -> LoadBalancer:
        try:
            return self._balancers[load_balancer_id]
        except KeyError:
            raise NotFoundError("load balancer", load_balancer_id) from None

    def list(self, limit: int, cursor: str | None = None) -> Page[LoadBalancer]:
        return page(self._balancers.values(), limit, cursor)

    def replace(self, before: LoadBalancer, after: LoadBalancer) -> LoadBalancer:
        self._at_version(before)
        provision = self.get(before.id).provision
        new = replace(after, version=before.version + 1, provision=provision)
        if new.certificates != before.certificates and not self._proxies.has(new.id):
            raise ConflictError("It was changed meanwhile; try again.")
        self._balancers[new.id] = new
        if new.beside_rules != before.beside_rules:
            self._proxies.touch(new.id)
        return new

    def delete(self, balancer: LoadBalancer) -> None:
        self._at_version(balancer)
        self._without_rules(balancer)
        del self._balancers[balancer.id]
        self._proxies.close(balancer.id)

    def put(self, balancer: LoadBalancer, provision: Provision) -> LoadBalancer:
        stored = self._at_revision(balancer)
        revision = stored.provision.revision if stored.provision else 0
        new = replace(stored, provision=replace(provision, revision=revision + 1))
        self._balancers[new.id] = new
        return replace(balancer, provision=new.provision)

    def begin_removal(self, balancer: LoadBalancer, provision: Provision) -> LoadBalancer:
        self._at_version(balancer)
        self._at_revision(balancer)
        self._without_rules(balancer)
        self._proxies.close(balancer.id)
        return self.put(balancer, provision)

    def end_removal(self, balancer: LoadBalancer) -> None:
        self._at_revision(balancer)
        del self._balancers[balancer.id]

    def _at_revision(self, balancer: LoadBalancer) -> LoadBalancer:
        stored = self.get(balancer.id)
        if stored.provision != balancer.provision:
            raise LostClaimError(f"{balancer.id} is being made by another worker.")
        return stored

    def _without_rules(self, balancer: LoadBalancer) -> None:
        if self._proxies.has(balancer.id) and (count := self._proxies.count(balancer.id)):
            raise ConflictError(f"{count} rules are still on load balancer {balancer.id}; delete them first.")

    def _at_version(self, balancer: LoadBalancer) -> None:
        stored = self.get(balancer.id)
        if stored.version != balancer.version:
            raise VersionMismatchError(f"It is at version {stored.version}, not {balancer.version}.")


class MemoryKeys:
    """Implements ApiKeyRepository."""

    def __init__(self, proxies: MemoryProxyStore) -> None:
        self._proxies = proxies
        self._keys: dict[str, ApiKey] = {}

    def create(self, key: ApiKey) -> None:
        if key.load_balancer_id is not None:
            self._proxies.bind(key.load_balancer_id, key)
        self._keys[key.id] = key

    def get(self, key_id: str) -> ApiKey:
        try:
            return self._keys[key_id]
        except KeyError:
            raise NotFoundError("API key", key_id) from None

    def list(self, limit: int, cursor: str | None = None) -> Page[ApiKey]:
        return page(self._keys.values(), limit, cursor)

    def delete(self, key_id: str) -> None:
        key = self.get(key_id)
        if key.load_balancer_id is not None:
            self._proxies.unbind(key.load_balancer_id, key_id)
        del self._keys[key_id]


class MemoryEvents:
    """Implements EventLog."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: dict[str, Event] = {}

    def append(self, events: Sequence[Event]) -> None:
        for event in events:
            self._events.setdefault(event.id, event)

    def of_rule(
        self, rule_id: str, start: datetime, end: datetime, limit: int, cursor: str | None = None
    ) -> Page[Event]:
        found = [event for event in self._between(start, end) if event.subject == rule_id]
        return page(found, limit, cursor, _order, of=f"events of {rule_id}", newest_first=True)

    def all(self, start: datetime, end: datetime, limit: int, cursor: str | None = None) -> Page[Event]:
        return page(self._between(start, end), limit, cursor, _order, of="events", newest_first=True)

    def _between(self, start: datetime, end: datetime) -> list[Event]:
        oldest = max(start, self._clock.now() - KEPT)
        return [event for event in self._events.values() if oldest <= event.at < end]


def _order(event: Event) -> list[str]:
    return [event.at.astimezone(UTC).isoformat(timespec="microseconds"), event.id]


class MemoryStores:
    """Every store, one beside the other: the attributes have the names that the use cases' constructors take."""

    def __init__(self, clock: Clock) -> None:
        self.proxies = MemoryProxyStore(clock)
        self.schedules = MemorySchedules(clock)
        self.rules = MemoryRules(self.proxies, self.schedules, clock)
        self.status = self.memberships = self.rules
        self.activity = MemoryActivity(clock)
        self.flows = MemoryFlows(self.activity, clock)
        self.balancers = MemoryBalancers(self.proxies, clock)
        self.provisions = self.balancers
        self.secret_reports = MemorySecretReports(self.proxies)
        self.agent_reports = MemoryAgentReports(self.proxies)
        self.keys = MemoryKeys(self.proxies)
        self.events = MemoryEvents(clock)
        self.back_offs = MemoryBackOffs()
        self.usage = MemoryUsage(clock)
        self.account = MemoryAccount()
        self.holds = MemoryHolds(clock)
