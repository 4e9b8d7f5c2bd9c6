"""The whole simulated account: the real use cases on the adapters in memory, and everything that happens to them."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.adapters.memory.account import MemoryAccount
from chalicelib.adapters.memory.alb_traffic import FakeAlbMetrics, FakeAlbTraffic
from chalicelib.adapters.memory.back_offs import MemoryBackOffs
from chalicelib.adapters.memory.clock import START, SequentialIds, VirtualClock
from chalicelib.adapters.memory.flows import FakeInterfaces, MemoryFlows
from chalicelib.adapters.memory.member_reports import MemoryAgentReports, MemorySecretReports
from chalicelib.adapters.memory.prices import MemoryPrices
from chalicelib.adapters.memory.queue import MemoryQueue
from chalicelib.adapters.memory.rules import MemoryRules
from chalicelib.adapters.memory.schedules import MemorySchedules
from chalicelib.adapters.memory.signals import FakeMetrics, FakeSessions
from chalicelib.adapters.memory.stores import MemoryBalancers, MemoryEvents
from chalicelib.adapters.memory.usage import MemoryUsage
from chalicelib.adapters.recurrence.windows import DateutilRecurrences
from chalicelib.domain.compact import compact_rule
from chalicelib.domain.resources import ResourceKind, ResourceRef, ResourceState
from chalicelib.usecases.count_days import CountDays
from chalicelib.usecases.dependencies import graph_below
from chalicelib.usecases.diversions import Diversions
from chalicelib.usecases.guards import GuardReader
from chalicelib.usecases.observe import Observer
from chalicelib.usecases.overrides import Overrides
from chalicelib.usecases.price_book import PriceBook
from chalicelib.usecases.proxy_config import ProxyConfig
from chalicelib.usecases.reconcile import Reconciler
from chalicelib.usecases.record_usage import RecordUsage
from chalicelib.usecases.savings import Savings
from chalicelib.usecases.state_change import StateChange
from chalicelib.usecases.tick import Tick
from chalicelib.usecases.warm_up import WarmUp
from chalicelib.usecases.watch_albs import WatchAlbs
from chalicelib.usecases.watch_flows import WatchFlows
from scripts.simulation.checks import Checks
from scripts.simulation.cloud import ChancyCloud, WorkerDiedError
from scripts.simulation.guest import Guest
from scripts.simulation.proxies import Agent, WatchedActivity, WatchedProxies
from scripts.simulation.users import Users

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from chalicelib.domain.events import Event
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import ReconcileRequest
    from chalicelib.usecases.observe import Surroundings
    from scripts.simulation.population import Planned, Population

EVENT_LOST = 0.05
"""Of state changes that AWS tells of."""

TICK = timedelta(minutes=1)
LAST_EVENTS = 12


class LastEvents(MemoryEvents):
    """30 days of history fill no memory: of each subject only the last are kept, in words."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.of: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=LAST_EVENTS))

    def append(self, events: Sequence[Event]) -> None:
        for event in events:
            self.of[event.subject].append(f"{event.at:%d %b %H:%M:%S} {event.words}")

    def around(self, rule: Rule) -> tuple[str, ...]:
        """The last of a rule and of its neighbours, each under its id."""
        ids = (rule.id, *rule.dependents, *(need.rule_id for need in rule.spec.depends_on))
        return tuple(f"{id_}: {words}" for id_ in ids for words in self.of.get(id_, ()))


class CountingReconciler(Reconciler):
    """The real one, counted."""

    reconciles = 0

    def reconcile(self, rule: Rule, seen: Surroundings) -> Rule:
        self.reconciles += 1
        return super().reconcile(rule, seen)


class World:
    """Everything that exists, and the loop that lets time pass."""

    def __init__(self, population: Population, chance: random.Random, *, chaos: bool) -> None:
        self.chance = chance
        clock = self.clock = VirtualClock()
        ids = SequentialIds()
        self.owners: dict[ResourceRef, str] = {}
        self.cloud = ChancyCloud(clock, chance, self.owners)
        self.proxies = WatchedProxies(clock)
        self.schedules = MemorySchedules(clock)
        rules = self.rules = MemoryRules(self.proxies, self.schedules, clock)
        self.activity = WatchedActivity(clock)
        self.events = LastEvents(clock)
        queue = self.queue = MemoryQueue(clock, chance if chaos else None)
        computes = {ResourceKind.EC2: self.cloud}
        guards = GuardReader(FakeMetrics(clock), FakeSessions())
        recurrences = DateutilRecurrences()
        account = MemoryAccount()
        balancers = MemoryBalancers(self.proxies, clock)
        albs = WatchAlbs(balancers, FakeAlbTraffic(self.cloud, clock), FakeAlbMetrics(clock), self.activity)
        flows = WatchFlows(FakeInterfaces(), MemoryFlows(self.activity, clock), timedelta(minutes=1))
        observer = Observer(
            self.activity, self.proxies, computes, rules, self.schedules, recurrences, guards, account, albs, flows
        )
        self.usage = MemoryUsage(clock)
        self.worker = CountingReconciler(
            rules,
            rules,
            observer,
            Diversions(self.proxies, albs),
            computes,
            self.events,
            MemoryBackOffs(),
            account,
            queue,
            clock,
            ids,
            RecordUsage(self.usage, recurrences),
        )
        book = PriceBook(MemoryPrices(), balancers, self.proxies)
        self.savings = Savings(rules, self.usage, CountDays(self.usage), lambda: book, clock)
        self.tick = Tick(rules, queue, clock)
        self.warm_up = WarmUp(rules, rules, self.events, queue, clock, ids)
        self.overrides = Overrides(rules, rules, self.activity, self.proxies, self.events, queue, clock, ids)
        self.config = ProxyConfig(
            rules,
            rules,
            self.activity,
            self.proxies,
            balancers,
            MemorySecretReports(self.proxies),
            MemoryAgentReports(self.proxies),
            self.events,
            queue,
            clock,
            ids,
        )
        self.state_change = StateChange(rules, rules, queue, clock)
        self.guests = self.activity.guests
        self.checks = self.cloud.checks = Checks(
            rules, self.schedules, self.proxies, self.cloud, self.guests, self.events.around
        )
        self.users = Users(clock, self.cloud, self.warm_up)
        self.cloud.changed = self._changed
        self.counts: Counter[str] = Counter()
        self._next_tick = clock.now() + TICK
        for schedule in population.schedules:
            self.schedules.create(schedule)
        for planned in population.planned():
            self._add(planned)

    def _add(self, planned: Planned) -> None:
        rule, lb = planned.rule, planned.rule.spec.load_balancer_id
        agent = self._agent(lb, rule.spec.region) if lb is not None else None
        service = timedelta(seconds=self.chance.choice((1, 2, 4, 6)))
        guest = Guest(rule.id, rule.refs, planned.pattern, planned.traffic, agent, service, rule.spec.idle)
        for ref in rule.refs:
            self.owners[ref] = rule.id
            halt = timedelta(seconds=self.chance.randint(8, 25))
            state = ResourceState.RUNNING if planned.running else ResourceState.STOPPED
            self.cloud.add(ref.id, ref.region, halt=halt, state=state)
        compact = compact_rule(rule.id, rule.spec, ["10.0.0.1"]) if lb is not None else None
        graph, _ = graph_below(self.rules, rule.id, rule.spec)
        self.guests[rule.id] = guest
        self.rules.create(rule, compact, graph=graph)
        for need in rule.spec.depends_on:
            guest.linked = self.guests[need.rule_id].linked = True
        if agent is not None:
            agent.guests.append(guest)
        if planned.running:
            self.users.changed(guest, ResourceState.RUNNING)
        self.users.expect(guest, START)

    def _agent(self, lb: str, region: str) -> Agent:
        agent = self.proxies.agents.get(lb)
        if agent is None:
            self.proxies.open(lb)
            member = f"i-proxy{lb}"
            self.cloud.add(member, region, state=ResourceState.RUNNING)
            phase = timedelta(seconds=7 * len(self.proxies.agents) % 30)
            agent = self.proxies.agents[lb] = Agent(lb, member, self.proxies, self.clock, phase)
            agent.config = self.config
        return agent

    def _changed(self, ref: ResourceRef, state: ResourceState) -> None:
        self.users.changed(self.guests[self.owners[ref]], state)
        if self.cloud.calm or self.chance.random() >= EVENT_LOST:
            self.state_change.run((ref,))

    def pass_time(self, total: timedelta) -> None:
        """From one thing that happens to the next."""
        end = self.clock.now() + total
        while self.clock.now() < end:
            upcoming = (end, self._next_tick, self.clock.next_at(), self.queue.next_at())
            at = max(self.clock.now(), min(moment for moment in upcoming if moment is not None))
            self.clock.advance(at - self.clock.now())
            if at >= self._next_tick:
                self.tick.run()
                self._next_tick += TICK
            while (ready := self.queue.next_at()) is not None and ready <= at:
                self.queue.deliver(self._handle)

    def _handle(self, request: ReconcileRequest) -> None:
        try:
            self.worker.run(request)
        except WorkerDiedError:
            self.counts["workers that died"] += 1
        except Exception as error:  # noqa: BLE001  (whatever is raised here, no rule may make the worker raise)
            self.checks.found(request.rule_ids[0], self.clock.now(), f"the worker raised {error!r}")
