"""What a tick costs in calls: its own, and those of the worker behind it, with one rule in a hundred due. Counted."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from botocore.handlers import BUILTIN_HANDLERS
from moto import mock_aws

from chalicelib.adapters.aws.alb_metrics import AwsAlbMetrics
from chalicelib.adapters.aws.alb_traffic import AwsAlbTraffic
from chalicelib.adapters.aws.clients import forget
from chalicelib.adapters.aws.ec2 import Ec2Compute
from chalicelib.adapters.aws.interfaces import Ec2Interfaces
from chalicelib.adapters.aws.sqs import SqsQueue, decode
from chalicelib.adapters.aws.system import RandomIds, SystemClock
from chalicelib.adapters.dynamodb.models import ALL_MODELS, RuleItem
from chalicelib.adapters.dynamodb.rule_items import to_item
from chalicelib.adapters.dynamodb.stores import DynamoStores, build_stores
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.adapters.memory.signals import FakeMetrics, FakeSessions
from chalicelib.adapters.recurrence.windows import DateutilRecurrences
from chalicelib.domain.decisions import Reason
from chalicelib.domain.resources import ResourceKind, ResourceState
from chalicelib.domain.rules import Rule, RuleSpec, RuleStatus, SeenResource
from chalicelib.usecases.diversions import Diversions
from chalicelib.usecases.guards import GuardReader
from chalicelib.usecases.observe import Observer
from chalicelib.usecases.reconcile import Reconciler
from chalicelib.usecases.record_usage import RecordUsage
from chalicelib.usecases.tick import Tick
from chalicelib.usecases.watch_albs import WatchAlbs
from chalicelib.usecases.watch_flows import WatchFlows
from scripts.benches.report import report

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "us-east-1"
SIZES = (100, 1_000, 10_000)
DUE_IN = 100
READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan"})


@dataclass(slots=True)
class Calls:
    """Calls by service and operation, while `counting`."""

    made: Counter[tuple[str, str]] = field(default_factory=Counter)
    counting: bool = False

    def tap(self, model: Any, **_: object) -> None:  # noqa: ANN401  (botocore's OperationModel)
        """Called by botocore for each call."""
        if self.counting:
            self.made[model.service_model.service_name, model.name] += 1

    def of_dynamodb(self, *, reads: bool) -> int:
        """Calls of DynamoDB that read, or that write."""
        return sum(n for (s, name), n in self.made.items() if s == "dynamodb" and (name in READS) is reads)

    @property
    def elsewhere(self) -> int:
        """Calls of every other service."""
        return sum(n for (service, _), n in self.made.items() if service != "dynamodb")


def run() -> None:
    """Print them for each size."""
    for rules in SIZES:
        calls = count(rules, rules // DUE_IN)
        report("reconcile", f"tick_dynamodb_reads_{rules}", calls.of_dynamodb(reads=True), "calls")
        report("reconcile", f"tick_dynamodb_writes_{rules}", calls.of_dynamodb(reads=False), "calls")
        report("reconcile", f"tick_aws_calls_{rules}", calls.elsewhere, "calls")


def count(rules: int, due: int) -> Calls:
    """One tick, and the worker on what it sent: `due` of so many rules are due, each with an instance that is down."""
    calls = Calls()
    with _account(calls) as (stores, queue, url):
        _fill(stores, rules, due)
        clock, ids = SystemClock(), RandomIds()
        computes = {ResourceKind.EC2: Ec2Compute()}
        guards = GuardReader(FakeMetrics(VirtualClock()), FakeSessions())
        albs = WatchAlbs(stores.balancers, AwsAlbTraffic(), AwsAlbMetrics(), stores.activity)
        observer = Observer(
            stores.activity,
            stores.proxies,
            computes,
            stores.rules,
            stores.schedules,
            DateutilRecurrences(),
            guards,
            stores.account,
            albs,
            WatchFlows(Ec2Interfaces(), stores.flows, timedelta(minutes=1)),
        )
        worker = Reconciler(
            stores.rules,
            stores.status,
            observer,
            Diversions(stores.proxies, albs),
            computes,
            stores.events,
            stores.back_offs,
            stores.account,
            queue,
            clock,
            ids,
            RecordUsage(stores.usage, DateutilRecurrences()),
        )
        calls.counting = True
        found = Tick(stores.status, queue, clock).run()
        calls.counting = False
        bodies = _messages(url)
        calls.counting = True
        for body in bodies:
            worker.run(decode(body))
        calls.counting = False
    if found.due != due or len(bodies) != found.messages:
        raise AssertionError(f"{found.due} of {due} rules were due, {len(bodies)} of {found.messages} messages came")
    return calls


@contextmanager
def _account(calls: Calls) -> Iterator[tuple[DynamoStores, SqsQueue, str]]:
    tap = ("provide-client-params", calls.tap)
    before = dict(os.environ)
    os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    os.environ.pop("AWS_ENDPOINT_URL", None)
    BUILTIN_HANDLERS.append(tap)  # every session made from here on
    forget()
    try:
        with mock_aws():
            boto3.setup_default_session(region_name=REGION)
            stores = build_stores("bench-", REGION, SystemClock())
            for model in ALL_MODELS:
                model.create_table(wait=False)
            url = boto3.client("sqs", region_name=REGION).create_queue(QueueName="autostop-bench-reconcile")["QueueUrl"]
            yield stores, SqsQueue(url, REGION), url
    finally:
        BUILTIN_HANDLERS.remove(tap)
        forget()
        os.environ.clear()
        os.environ.update(before)


def _fill(stores: DynamoStores, rules: int, due: int) -> None:
    del stores  # its models are what the tables are made of
    ec2: Any = boto3.client("ec2", region_name=REGION)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=due, MaxCount=due)["Instances"]
    ids = [instance["InstanceId"] for instance in made]
    ec2.stop_instances(InstanceIds=ids)
    now = datetime.now(UTC)  # the look before was after all that
    with RuleItem.batch_write() as batch:
        for n in range(rules):
            at = now - timedelta(seconds=5) if n < due else now + timedelta(hours=1)
            spec = RuleSpec(
                f"rule {n}",
                timedelta(minutes=15),
                ResourceKind.EC2,
                REGION,
                (ids[n] if n < due else f"i-{n:08x}",),
            )
            # As the look before left it: what changes is paid for once, and not what a tick costs.
            seen = tuple(SeenResource(id_, ResourceState.STOPPED) for id_ in spec.resource_ids)
            status = RuleStatus(reason=Reason.IDLE, since=now, due_at=at, seen=seen, observed_at=now)
            made_at = now - timedelta(days=1)
            batch.save(to_item(Rule(f"ru_{n:06d}", spec, status, 1, 1, made_at, made_at)))


def _messages(url: str) -> list[str]:
    sqs: Any = boto3.client("sqs", region_name=REGION)
    bodies: list[str] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies += [message["Body"] for message in messages]
    return bodies
