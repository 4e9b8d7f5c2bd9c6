"""A whole small world in memory: cloud, stores, queue, one proxy whose agent behaves (or not), and the worker."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.memory.alb_traffic import FakeAlbMetrics, FakeAlbTraffic
from chalicelib.adapters.memory.clock import START, SequentialIds, VirtualClock
from chalicelib.adapters.memory.cloud import FakeCloud
from chalicelib.adapters.memory.databases import FakeDatabases
from chalicelib.adapters.memory.flows import FakeInterfaces
from chalicelib.adapters.memory.prices import MemoryPrices
from chalicelib.adapters.memory.proxy_parts import FakeProvisionQueue
from chalicelib.adapters.memory.queue import MemoryQueue
from chalicelib.adapters.memory.signals import FakeMetrics, FakeSessions
from chalicelib.adapters.memory.stores import MemoryStores
from chalicelib.adapters.recurrence.windows import DateutilRecurrences
from chalicelib.domain.compact import compact_rule
from chalicelib.domain.errors import InvalidInputError
from chalicelib.domain.products import Ec2Product
from chalicelib.domain.resources import ResourceKind, ResourceState
from chalicelib.domain.rules import RuleState
from chalicelib.usecases.count_days import CountDays
from chalicelib.usecases.dependencies import graph_below
from chalicelib.usecases.discover import Discover
from chalicelib.usecases.diversions import Diversions
from chalicelib.usecases.explain import Explain
from chalicelib.usecases.guards import GuardReader
from chalicelib.usecases.ingest_activity import Ingest, LogLine
from chalicelib.usecases.observe import Observer
from chalicelib.usecases.overrides import Overrides
from chalicelib.usecases.price_book import PriceBook
from chalicelib.usecases.proxy_config import ProxyConfig, ProxyReport, RuleHealth
from chalicelib.usecases.reconcile import Reconciler
from chalicelib.usecases.record_usage import RecordUsage
from chalicelib.usecases.roll_up_savings import RollUpSavings
from chalicelib.usecases.savings import Savings
from chalicelib.usecases.state_change import StateChange
from chalicelib.usecases.tick import Tick
from chalicelib.usecases.warm_up import WakeCause, WarmUp
from chalicelib.usecases.watch_albs import WatchAlbs
from chalicelib.usecases.watch_flows import WatchFlows
from tests.builders import make_balancer, make_rule

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from chalicelib.domain.events import Event
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.resources import ResourceRef
    from chalicelib.domain.rules import Rule

BEAT = timedelta(seconds=10)
IDLE = timedelta(minutes=5)


FLOW_WINDOW = timedelta(seconds=60)


def stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


class World:
    """One rule `ru_1` with one instance behind one proxy `lb_1` with one member `i-proxy`."""

    made_balancers: tuple[LoadBalancer, ...] = (make_balancer(),)

    def __init__(self, chaos: random.Random | None = None, **spec: Any) -> None:
        self.clock = VirtualClock()
        self.ids = SequentialIds()
        self.cloud = FakeCloud(self.clock)
        self.stores = MemoryStores(self.clock)
        self.queue = MemoryQueue(self.clock, chaos)
        self.provisioning = FakeProvisionQueue(self.clock)
        s = self.stores
        self.databases = FakeDatabases(self.clock)
        self.computes: dict[ResourceKind, Any] = {ResourceKind.EC2: self.cloud, ResourceKind.RDS: self.databases}
        self.recurrences = DateutilRecurrences()
        self.metrics, self.sessions = FakeMetrics(self.clock), FakeSessions()
        self.elb = FakeAlbTraffic(self.cloud, self.clock)
        self.alb_metrics = FakeAlbMetrics(self.clock)
        self.watch_albs = WatchAlbs(s.balancers, self.elb, self.alb_metrics, s.activity)
        self.interfaces = FakeInterfaces()
        self.observer = Observer(
            s.activity,
            s.proxies,
            self.computes,
            s.rules,
            s.schedules,
            self.recurrences,
            GuardReader(self.metrics, self.sessions),
            s.account,
            self.watch_albs,
            WatchFlows(self.interfaces, s.flows, FLOW_WINDOW),
        )
        self.usage = RecordUsage(s.usage, self.recurrences)
        self.worker = Reconciler(
            s.rules,
            s.status,
            self.observer,
            Diversions(s.proxies, self.watch_albs),
            self.computes,
            s.events,
            s.back_offs,
            s.account,
            self.queue,
            self.clock,
            self.ids,
            self.usage,
        )
        self.tick = Tick(s.status, self.queue, self.clock)
        self.discover = Discover(
            s.rules,
            s.memberships,
            self.computes,
            s.events,
            s.back_offs,
            self.queue,
            self.clock,
            self.ids,
            self.provisioning,
        )
        self.warm_up = WarmUp(s.rules, s.status, s.events, self.queue, self.clock, self.ids)
        self.overrides = Overrides(s.rules, s.status, s.activity, s.proxies, s.events, self.queue, self.clock, self.ids)
        self.ingest = Ingest(s.activity, s.proxies, s.balancers, s.events, self.clock, self.ids, BEAT)
        self.config = ProxyConfig(
            s.rules,
            s.status,
            s.activity,
            s.proxies,
            s.balancers,
            s.secret_reports,
            s.agent_reports,
            s.events,
            self.queue,
            self.clock,
            self.ids,
        )
        self.state_change = StateChange(s.rules, s.status, self.queue, self.clock)
        self.cloud.on_change = self._changed
        self.databases.on_change = self._database_changed
        self._chaos = chaos
        self.explain = Explain(s.rules, self.observer, self.clock)
        self.prices = MemoryPrices()
        self.prices.costs[Ec2Product("us-east-1", "t3.micro")] = Decimal("0.0104")
        counted = CountDays(s.usage)
        self.savings = Savings(s.rules, s.usage, counted, self.new_book, self.clock)
        self.roll_up = RollUpSavings(s.usage, counted, self.new_book, self.clock)
        for balancer in self.made_balancers:
            s.balancers.create(balancer)
        self.ref: ResourceRef = self.cloud.add("i-00000001")
        self.cloud.add("i-proxy", state=ResourceState.RUNNING)
        rule = make_rule(**({"idle": IDLE} | spec))
        compact = compact_rule(rule.id, rule.spec, ["10.0.0.1"]) if rule.spec.load_balancer_id else None
        s.rules.create(rule, compact)
        self.agent = Agent(self)
        self.others: list[Agent] = []
        self.violations: list[str] = []
        self.asked: list[tuple[datetime, str]] = []

    def _changed(self, ref: ResourceRef) -> None:
        """EventBridge tells, a second later; on a bad day it does not."""
        if self._chaos is None or self._chaos.random() < 0.7:
            self.clock.at(self.clock.now() + timedelta(seconds=1), lambda: self.state_change.run((ref,)))

    def _database_changed(self, ref: ResourceRef, by_aws: bool) -> None:
        if self._chaos is None or self._chaos.random() < 0.7:
            later = self.clock.now() + timedelta(seconds=1)
            self.clock.at(later, lambda: self.state_change.run((ref,), by_aws=by_aws))

    def new_book(self) -> PriceBook:
        return PriceBook(self.prices, self.stores.balancers, self.stores.proxies)

    def add_rule(self, id_: str, instance_id: str, **spec: Any) -> ResourceRef:
        """One more rule, without a load balancer, and its instance."""
        ref = self.cloud.add(instance_id)
        settings = {"load_balancer_id": None, "http": (), "resource_ids": (instance_id,), "idle": IDLE}
        self.stores.rules.create(make_rule(id_, **(settings | spec)), None)
        return ref

    def change(self, id_: str, **spec: Any) -> None:
        """What `PUT /rules/{id}` does to the store."""
        before = self.stores.rules.get(id_)
        after = replace(before, spec=replace(before.spec, **spec))
        compact = compact_rule(id_, after.spec, ["10.0.0.1"]) if after.spec.load_balancer_id else None
        graph, faults = graph_below(self.stores.rules, id_, after.spec)
        if faults:
            raise InvalidInputError(faults)
        self.stores.rules.replace(before, after, compact, graph)

    def watch(self, check_start: Callable[[ResourceRef], None], check_stop: Callable[[ResourceRef], None]) -> None:
        """Check each call to AWS at its moment. What fails is kept: the worker catches whatever a rule raises."""
        start, stop = self.cloud.start, self.cloud.stop

        def checked(check: Callable[[ResourceRef], None], refs: Sequence[ResourceRef]) -> None:
            for ref in refs:
                try:
                    check(ref)
                except AssertionError as error:
                    self.violations.append(str(error))

        def checked_start(refs: Sequence[ResourceRef]) -> Any:
            self.asked.append((self.clock.now(), "start"))
            checked(check_start, refs)
            return start(refs)

        def checked_stop(refs: Sequence[ResourceRef], **how: bool) -> Any:
            self.asked.append((self.clock.now(), "stop"))
            checked(check_stop, refs)
            return stop(refs, **how)

        self.cloud.start, self.cloud.stop = checked_start, checked_stop  # type: ignore[method-assign]

    @property
    def rule(self) -> Rule:
        return self.stores.rules.get("ru_1")

    @property
    def state(self) -> RuleState:
        return self.rule.status.state

    @property
    def instance(self) -> Any:
        return self.cloud.instances[self.ref]

    def history(self, id_: str = "ru_1") -> list[Event]:
        return list(self.stores.events.of_rule(id_, START, self.clock.now() + IDLE, 10_000).items)

    def stops(self) -> list[datetime]:
        return [at for at, what, _ in self.cloud.journal if what == "stop"]

    def starts(self) -> list[datetime]:
        return [at for at, what, _ in self.cloud.journal if what == "start"]

    def work(self) -> None:
        """The worker takes what the queue has now."""
        for _ in range(20):
            if not self.queue.deliver(self.worker.run):
                return

    def pass_time(self, total: timedelta, step: timedelta = timedelta(seconds=5)) -> None:
        """Live: the agent beats, polls and reports, the tick ticks, the worker works."""
        end = self.clock.now() + total
        last_tick = self.clock.now() - timedelta(minutes=1)
        while self.clock.now() < end:
            self.clock.advance(step)
            for agent in (self.agent, *self.others):
                agent.live()
            if self.clock.now() - last_tick >= timedelta(minutes=1):
                self.tick.run()
                last_tick = self.clock.now()
            self.work()

    def join(self, member: str) -> Agent:
        """One more member of the proxy, on an instance of its own."""
        self.cloud.add(member, state=ResourceState.RUNNING)
        self.others.append(Agent(self, member))
        return self.others[-1]

    def wake(self) -> None:
        self.warm_up.by_traffic("lb_1", ("ru_1",), WakeCause("http", "203.0.113.7", host="app.example.com"))


class Agent:
    """What the proxy's agent does, as far as the control plane can tell. Switches make it misbehave.

    `accepts` overrides what its probes find; `quiet` stops its reports.
    """

    def __init__(self, world: World, member: str = "i-proxy") -> None:
        self.world = world
        self.member = member
        self.alive = True
        self.mute = False
        self.seq = 0
        self.through = world.clock.now()
        self.etag: str | None = None
        self.pending: dict[str, datetime] = {}
        self.kept: list[tuple[datetime, list[dict[str, Any]]]] = []
        self.lose: set[int] = set()
        self.late: list[list[dict[str, Any]]] | None = None
        self.skew = timedelta(0)
        self.drains: dict[str, datetime] = {}
        self.accepts: bool | None = None
        self.quiet = False

    def use(self) -> None:
        """Bytes pass on a connection that is open."""
        self.pending["ru_1"] = self.world.clock.now()

    def diverts(self) -> bool:
        until = self.drains.get("ru_1")
        return until is not None and until > self.world.clock.now()

    def live(self) -> None:
        if not self.alive:
            return
        self.poll()
        if self.world.clock.now() - self.through >= BEAT:
            self.beat()

    def poll(self) -> None:
        answer = self.world.config.poll("lb_1", self.member, self.etag)
        now = self.world.clock.now()
        if answer is not None:
            self.etag = answer.etag
            body = json.loads(answer.body)
            if body["states"] is not None:
                self.drains = {
                    item["rule"]: datetime.fromisoformat(item["drain_until"])
                    for item in body["states"]["items"]
                    if "drain_until" in item
                }
            if body["resend_from"] is not None:
                start = datetime.fromisoformat(body["resend_from"])
                for through, lines in list(self.kept):
                    if through > start:
                        self.ship(lines)
        if self.quiet:
            return
        accepts = self.world.instance.state is ResourceState.RUNNING if self.accepts is None else self.accepts
        etag, health = (self.etag or "").strip('"'), (RuleHealth("ru_1", accepts, now),)
        report = ProxyReport(self.member, etag, now, (), health)
        self.world.config.report("lb_1", report)

    def beat(self, *, hole: bool = False) -> None:
        """`hole`: it cannot prove the time before, and cannot send it again."""
        now = self.world.clock.now()
        self.seq += 1
        common = {"autostop": 1, "proxy": "lb_1", "member": self.member, "seq": self.seq}
        lines: list[dict[str, Any]] = [
            common
            | {"rule": rule, "minute": now.strftime("%Y-%m-%dT%H:%M"), "last_at": stamp(at + self.skew), "requests": 1}
            for rule, at in self.pending.items()
        ]
        self.pending = {}
        lines.append(
            common
            | {
                "observed_from": stamp(self.through + self.skew),
                "observed_through": stamp(now + self.skew),
                "summaries": len(lines),
                "config": (self.etag or "").strip('"'),
                "hole": hole,
            }
        )
        self.through = now
        self.kept.append((now, lines))
        if self.seq not in self.lose:
            self.ship(lines)

    def catch_up(self, chance: random.Random) -> None:
        """What was late arrives all the same: in any order, and some of it twice."""
        batches, self.late = self.late or [], None
        batches += chance.sample(batches, len(batches) // 2)
        chance.shuffle(batches)
        for lines in batches:
            self.ship(lines)

    def ship(self, lines: list[dict[str, Any]]) -> None:
        if self.mute:
            return
        if self.late is not None:
            self.late.append(lines)
            return
        now = self.world.clock.now()
        batch = [
            LogLine(f"{self.member}-{self.seq}-{n}", f"lb_1/{self.member}", now, json.dumps(line))
            for n, line in enumerate(lines)
        ]
        self.world.ingest.run(batch)


def up_world(**spec: Any) -> World:
    """A world whose rule was just woken and is up."""
    world = World(**spec)
    world.pass_time(timedelta(seconds=10))
    world.wake()
    world.pass_time(timedelta(minutes=1))
    assert world.state is RuleState.UP
    return world
