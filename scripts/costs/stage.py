"""A stage of virtual time: every function of the control plane on DynamoDB as moto plays it, each run of one metered.

EC2, ELB and CloudWatch are the adapters in memory: what they are asked costs time, and metrics money. The queue is
ours, in front of the real encoding of its messages.
"""

from __future__ import annotations

import heapq
import json
import logging
import os
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
from botocore.handlers import BUILTIN_HANDLERS
from moto import mock_aws
from moto.core.models import botocore_stubber

from chalicelib.adapters.aws.clients import forget
from chalicelib.adapters.aws.sqs import SqsQueue, decode
from chalicelib.adapters.aws.system import RandomIds
from chalicelib.adapters.dynamodb.models import ALL_MODELS
from chalicelib.adapters.dynamodb.stores import build_stores
from chalicelib.adapters.emf import EmfMeasures
from chalicelib.adapters.memory.alb_traffic import FakeAlbMetrics, FakeAlbTraffic
from chalicelib.adapters.memory.clock import START, VirtualClock
from chalicelib.adapters.memory.cloud import FakeCloud
from chalicelib.adapters.memory.flows import FakeInterfaces
from chalicelib.adapters.memory.prices import MemoryPrices
from chalicelib.adapters.memory.proxy_parts import FakeProvisionQueue
from chalicelib.adapters.memory.signals import FakeMetrics, FakeSessions
from chalicelib.adapters.recurrence.windows import DateutilRecurrences
from chalicelib.domain.resources import ResourceKind
from chalicelib.entrypoints.logging_setup import JsonFormatter
from chalicelib.usecases.count_days import CountDays
from chalicelib.usecases.discover import Discover
from chalicelib.usecases.diversions import Diversions
from chalicelib.usecases.guards import GuardReader
from chalicelib.usecases.ingest_activity import Ingest
from chalicelib.usecases.measure_proxies import MeasureProxies
from chalicelib.usecases.observe import Observer
from chalicelib.usecases.price_book import PriceBook
from chalicelib.usecases.provision import Provisioner
from chalicelib.usecases.proxy_config import ProxyConfig
from chalicelib.usecases.reconcile import Reconciler
from chalicelib.usecases.record_usage import RecordUsage
from chalicelib.usecases.roll_up_savings import RollUpSavings
from chalicelib.usecases.state_change import StateChange
from chalicelib.usecases.tick import Tick
from chalicelib.usecases.warm_up import WarmUp
from chalicelib.usecases.watch_albs import WatchAlbs
from chalicelib.usecases.watch_flows import WatchFlows
from scripts.base_stack import API_TRACED
from scripts.benches.handlers import handlers
from scripts.costs.meter import Meter, Outside, batches
from scripts.costs.prices import REGION, Quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from chalicelib.domain.resources import ResourceRef
    from chalicelib.usecases.proxy_config import ConfigAnswer, ProxyReport
    from chalicelib.usecases.warm_up import WakeCause

MINUTE = timedelta(minutes=1)
ENV = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}
BEFORE = timedelta(minutes=30)
"""There is a past, of which metrics tell: what is counted begins at START, the beginning of a third of a day."""

EVENT_LATE = timedelta(seconds=1)
"""EventBridge."""

SCHEDULED = {"tick": MINUTE, "discover": 5 * MINUTE, "provision_sweep": 15 * MINUTE}
"""As their entrypoints say."""


class Queue:
    """SQS as the adapter sees it, with messages that are ready when their delay is over."""

    def __init__(self, clock: VirtualClock, meter: Meter) -> None:
        self._clock, self._meter, self._order = clock, meter, count()
        self._waiting: list[tuple[datetime, int, str]] = []

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[Any]) -> dict[str, Any]:  # noqa: N803
        """A request for each 64 KB that are begun (https://aws.amazon.com/sqs/pricing/)."""
        del QueueUrl
        size = sum(len(entry["MessageBody"].encode()) for entry in Entries)
        self._meter.counted[Quantity.SQS_REQUESTS] += -(-size // 65_536)
        self._meter.waited("sqs")
        for entry in Entries:
            ready = self._clock.now() + timedelta(seconds=entry["DelaySeconds"])
            heapq.heappush(self._waiting, (ready, next(self._order), entry["MessageBody"]))
        return {"Successful": list(Entries)}

    def next_at(self) -> datetime | None:
        """When the next message is ready."""
        return self._waiting[0][0] if self._waiting else None

    def take(self) -> str:
        """Receive and delete it."""
        body = heapq.heappop(self._waiting)[2]
        self._meter.counted[Quantity.SQS_REQUESTS] += 1 - (-len(body.encode()) // 65_536)
        return body


class _CountedMetrics(FakeAlbMetrics):
    """Each metric that is asked for is paid for."""

    def __init__(self, clock: VirtualClock, meter: Meter) -> None:
        super().__init__(clock)
        self._meter = meter

    def read(self, series: Sequence[Any], start: datetime, end: datetime) -> Any:  # noqa: ANN401
        self._meter.counted[Quantity.METRICS_READ] += len(set(series))
        found = super().read(series, start, end)
        self.asked.clear()
        return found


class _Lines(logging.Handler):
    """What the functions log."""

    def __init__(self, meter: Meter) -> None:
        super().__init__(logging.INFO)
        self._meter, self._words = meter, JsonFormatter()

    def emit(self, record: logging.LogRecord) -> None:
        with self._meter.elsewhere():
            self._meter.logged(self._words.format(record))


class Told:
    """The metrics of the stage itself: lines of the log, and hours in which each is paid for."""

    def __init__(self, clock: VirtualClock, meter: Meter) -> None:
        self._clock, self._meter = clock, meter
        self._hours: set[tuple[str, int]] = set()
        self.measures = EmfMeasures("cost", clock, self._line)

    def months(self, stretch: timedelta) -> float:
        """How many metrics for how much of a month, going by the hours of this stretch in which they were told."""
        hours = max(1.0, stretch / timedelta(hours=1))
        names = Counter(name for name, _ in self._hours)
        return sum(min(1.0, told / hours) for told in names.values())

    def reset(self) -> None:
        """From here on."""
        self._hours.clear()

    def _line(self, line: str) -> None:
        hour = int(self._clock.now().timestamp() // 3600)
        for directive in json.loads(line)["_aws"]["CloudWatchMetrics"]:
            self._hours |= {(metric["Name"], hour) for metric in directive["Metrics"]}
        with self._meter.elsewhere():
            self._meter.logged(line)


class Stage:
    """The functions, and the time that passes. Each public method is one run of the function of that name."""

    def __init__(self) -> None:
        clock = self.clock = VirtualClock(START - BEFORE)
        meter = self.meter = Meter(clock.now, handlers())
        stores = self.stores = build_stores("cost-", REGION, clock)
        ids = RandomIds()
        self.told = Told(clock, meter)
        self.messages = Queue(clock, meter)
        looks = SqsQueue("https://sqs.us-east-1.amazonaws.com/0/cost", REGION, lambda *_: self.messages)
        self.cloud = FakeCloud(clock)
        self.elb = FakeAlbTraffic(self.cloud, clock)
        self.metrics = _CountedMetrics(clock, meter)
        computes: dict[ResourceKind, Any] = {ResourceKind.EC2: Outside(self.cloud, meter, "ec2", batches(200))}
        recurrences, making = DateutilRecurrences(), FakeProvisionQueue(clock)
        guards = GuardReader(FakeMetrics(clock), FakeSessions())
        traffic: Any = Outside(self.elb, meter, "elb", batches(1_000_000))
        measured: Any = Outside(self.metrics, meter, "cloudwatch", batches(500))
        albs = WatchAlbs(stores.balancers, traffic, measured, stores.activity)
        s = stores
        observer = Observer(
            s.activity,
            s.proxies,
            computes,
            s.rules,
            s.schedules,
            recurrences,
            guards,
            s.account,
            albs,
            WatchFlows(FakeInterfaces(), s.flows, MINUTE),
        )
        self._worker = Reconciler(
            s.rules,
            s.status,
            observer,
            Diversions(s.proxies, albs),
            computes,
            s.events,
            s.back_offs,
            s.account,
            looks,
            clock,
            ids,
            RecordUsage(s.usage, recurrences),
            self.told.measures,
        )
        self._proxies = MeasureProxies(s.balancers, s.proxies, self.told.measures, clock)
        self._tick = Tick(s.status, looks, clock)
        self._discover = Discover(s.rules, s.memberships, computes, s.events, s.back_offs, looks, clock, ids, making)
        self._provisioner = Provisioner(s.balancers, s.provisions, {}, making, s.events, clock, ids)
        self._state_change = StateChange(s.rules, s.status, looks, clock)
        self._warm_up = WarmUp(s.rules, s.status, s.events, looks, clock, ids)
        self._config = ProxyConfig(
            s.rules,
            s.status,
            s.activity,
            s.proxies,
            s.balancers,
            s.secret_reports,
            s.agent_reports,
            s.events,
            looks,
            clock,
            ids,
        )
        self._ingest = Ingest(s.activity, s.proxies, s.balancers, s.events, clock, ids, MINUTE)
        usage, prices = s.usage, MemoryPrices()
        self._roll_up = RollUpSavings(usage, CountDays(usage), lambda: PriceBook(prices, s.balancers, s.proxies), clock)
        self.cloud.on_change = lambda ref: clock.at(clock.now() + EVENT_LATE, lambda: self.ec2_state(ref))
        self._scheduled: dict[str, datetime] = {}

    def pass_time(self, total: timedelta) -> None:
        """Run what is scheduled, what the queue has and what the clock was told to do, in the order of their times."""
        end = self.clock.now() + total
        if not self._scheduled:
            self._scheduled = {name: self.clock.now() + every for name, every in SCHEDULED.items()}
        while True:
            name, at = min(self._scheduled.items(), key=lambda entry: entry[1])
            upcoming = [moment for moment in (at, self.messages.next_at(), self.clock.next_at()) if moment is not None]
            now = max(self.clock.now(), min(upcoming))
            if now > end:
                self.clock.advance(end - self.clock.now())
                return
            self.clock.advance(now - self.clock.now())
            if at <= now:
                self._scheduled[name] = at + SCHEDULED[name]
                getattr(self, name)()
            while (ready := self.messages.next_at()) is not None and ready <= now:
                self.reconcile(self.messages.take())

    # The functions

    def tick(self) -> None:
        with self.meter.invocation("tick"):
            self._tick.run()

    def reconcile(self, body: str) -> None:
        with self.meter.invocation("reconcile"):
            self._worker.run(decode(body))
            self.told.measures.flush()

    def discover(self) -> None:
        with self.meter.invocation("discover"):
            self._discover.run()

    def provision_sweep(self) -> None:
        with self.meter.invocation("provision_sweep"):
            self._provisioner.sweep()
            self._proxies.run()
            self.told.measures.flush()

    def ec2_state(self, ref: ResourceRef) -> None:
        with self.meter.invocation("ec2_state"):
            self._state_change.run((ref,))

    def proxy_logs(self, stream: str, events: Sequence[object]) -> None:
        with self.meter.invocation("proxy_logs"):
            self._ingest.run_payload(stream, events)

    def savings_rollup(self) -> None:
        with self.meter.invocation("savings_rollup"):
            self._roll_up.run()

    # The API, whose routes for proxies first read whose key it is

    @contextmanager
    def _request(self, key_id: str) -> Iterator[None]:
        self.meter.counted[Quantity.API_REQUESTS] += 1
        with self.meter.invocation("api_handler", sampled=API_TRACED):
            if key_id:
                self.stores.keys.get(key_id)
            yield

    def poll(self, load_balancer_id: str, member: str, etag: str | None) -> ConfigAnswer | None:
        """What a proxy asks every 30 seconds: its key is found in what is read anyway."""
        with self._request(""):
            state = self.stores.proxies.poll(load_balancer_id)
            return self._config.poll(load_balancer_id, member, etag, state)

    def report(self, load_balancer_id: str, key_id: str, report: ProxyReport) -> None:
        """What a proxy saw."""
        with self._request(key_id):
            self._config.report(load_balancer_id, report)

    def wake(self, load_balancer_id: str, key_id: str, rule_id: str, cause: WakeCause) -> None:
        """Somebody is there."""
        with self._request(key_id):
            self._warm_up.by_traffic(load_balancer_id, (rule_id,), cause)

    def page(self, key_id: str) -> None:
        """A person reads a page of rules."""
        with self._request(key_id):
            self.stores.rules.list(100)


@contextmanager
def stage() -> Iterator[Stage]:
    """An empty stage; everything of it goes at the end."""
    handlers_of_botocore: list[Any] = BUILTIN_HANDLERS  # each session made from here on has these
    known, before, root = list(handlers_of_botocore), dict(os.environ), logging.getLogger()
    level, printing = root.level, list(root.handlers)
    os.environ.update(ENV)
    os.environ.pop("AWS_ENDPOINT_URL", None)
    forget()
    try:
        with mock_aws():
            boto3.setup_default_session(region_name=REGION)
            made = Stage()
            play = made.meter.play
            handlers_of_botocore[:] = [
                ("before-send", play) if entry[1] is botocore_stubber else entry for entry in known
            ]
            root.handlers[:] = [_Lines(made.meter)]
            root.setLevel(logging.INFO)
            for model in ALL_MODELS:
                model.create_table(wait=False)
            yield made
    finally:
        root.handlers[:] = printing
        root.setLevel(level)
        handlers_of_botocore[:] = known
        forget()
        os.environ.clear()
        os.environ.update(before)
