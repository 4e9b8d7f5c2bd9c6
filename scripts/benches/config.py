"""A proxy's poll of its configuration: through the route, on DynamoDB as moto plays it.

The time is the processor's without what moto took, that is: ours, pynamodb's and Chalice's. `unchanged_reads` counts
every item that answering a poll with 304 reads, the API key's own among them.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
from botocore.handlers import BUILTIN_HANDLERS
from chalice.test import Client
from moto import mock_aws
from moto.core.models import botocore_stubber

from chalicelib.adapters.aws.clients import forget
from chalicelib.adapters.aws.system import SystemClock
from chalicelib.adapters.dynamodb.models import ALL_MODELS, ProxyItem
from chalicelib.adapters.dynamodb.stores import build_stores
from chalicelib.domain.access import ApiKey, Role, hash_secret
from chalicelib.domain.compact import compact_rule
from chalicelib.domain.load_balancers import LoadBalancer, LoadBalancerKind
from chalicelib.domain.resources import ResourceKind
from chalicelib.domain.routes import HttpRoute, TcpRoute
from chalicelib.domain.rules import RuleSpec
from scripts.benches.report import report
from scripts.built import forget_built

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZES = (10, 100, 1_000, 2_000)
RUNS = 5
REGION = "us-east-1"
PREFIX = "autostop-bench-"
ID, SECRET, BALANCER = "ak_bench0", "s" * 24, "lb_bench"
ENV = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AUTOSTOP_STAGE": "bench",
    "AUTOSTOP_TABLE_PREFIX": PREFIX,
    "AUTOSTOP_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/autostop-bench-reconcile",
    "AUTOSTOP_PROVISION_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/autostop-bench-provision",
    "AUTOSTOP_PROXY_BOUNDARY_ARN": "arn:aws:iam::000000000000:policy/autostop-bench-proxy-boundary",
    "AUTOSTOP_PROXY_LOG_GROUP": "/autostop/bench/proxy",
}


@dataclass(slots=True)
class Played:
    """What DynamoDB was asked for, and how long it played."""

    items: int = 0
    seconds: float = 0.0

    def answered(self, model: Any, parsed: dict[str, Any], **_: object) -> None:  # noqa: ANN401  (OperationModel)
        """Called by botocore after each call."""
        match model.name:
            case "GetItem":
                self.items += 1
            case "Query" | "Scan":
                self.items += parsed["ScannedCount"]
            case "BatchGetItem":
                self.items += sum(len(found) for found in parsed["Responses"].values())

    def play(self, event_name: str, request: Any, **more: Any) -> Any:  # noqa: ANN401  (botocore's)
        """Moto's answer to a request, timed."""
        began = time.process_time()
        try:
            return botocore_stubber(event_name, request, **more)
        finally:
            self.seconds += time.process_time() - began


def run(sizes: Sequence[int] = SIZES, runs: int = RUNS) -> None:
    """The best of some polls for each size."""
    for rules in sizes:
        with _stage(rules) as (client, played):
            headers = {"Authorization": f"Bearer {ID}_{SECRET}"}
            path = f"/load-balancers/{BALANCER}/config?member=i-bench"
            times = []
            for _ in range(runs):
                before, began = played.seconds, time.process_time()
                full = client.http.get(path, headers=headers)
                times.append(time.process_time() - began - (played.seconds - before))
            read = played.items
            unchanged = client.http.get(path, headers=headers | {"If-None-Match": full.headers["ETag"]})
            if (full.status_code, unchanged.status_code) != (200, 304):
                raise AssertionError(f"{full.status_code} and {unchanged.status_code} instead of 200 and 304")
            report("config", f"render_ms_{rules}", min(times) * 1000, "ms")
            report("config", f"response_kb_{rules}", len(full.body) / 1000, "kB")
            report("config", f"unchanged_reads_{rules}", played.items - read, "items")


@contextmanager
def _stage(rules: int) -> Iterator[tuple[Client, Played]]:
    """A stage of its own, whose proxy has so many rules."""
    played = Played()
    handlers: list[Any] = BUILTIN_HANDLERS  # each session made from here on has these
    # In the place of moto's own: botocore calls every handler, whoever has answered already.
    ours = [("before-send", played.play) if entry[1] is botocore_stubber else entry for entry in handlers]
    known = list(handlers)
    handlers[:] = [*ours, ("after-call.dynamodb", played.answered)]
    before = dict(os.environ)
    os.environ.update(ENV)
    os.environ.pop("AWS_ENDPOINT_URL", None)
    _forget_all()
    try:
        with mock_aws():
            boto3.setup_default_session(region_name=REGION)
            _fill(rules)
            import app as application  # noqa: PLC0415  (it reads the environment)

            with Client(application.app) as client:
                yield client, played
    finally:
        handlers[:] = known
        _forget_all()
        os.environ.clear()
        os.environ.update(before)


def _forget_all() -> None:
    """What this process has built of a stage."""
    forget()
    forget_built()


def _fill(rules: int) -> None:
    clock = SystemClock()
    stores = build_stores(PREFIX, REGION, clock)
    for model in ALL_MODELS:
        model.create_table(wait=False)
    now = clock.now()
    nowhere = ("vpc-0", ("subnet-0",), ("sg-0",), 1, now, now)
    stores.balancers.create(LoadBalancer(BALANCER, LoadBalancerKind.PROXY, "bench", REGION, *nowhere, existing=True))
    with ProxyItem.batch_write() as batch:
        batch.save(ProxyItem(BALANCER, "poll", rules_version=rules, states_version=1, rules=rules))
        for n in range(rules):
            batch.save(ProxyItem(BALANCER, f"rule#ru_{n:012d}", body=_compact(n)))
    stores.keys.create(ApiKey(ID, hash_secret(SECRET), Role.PROXY, "proxy", clock.now(), load_balancer_id=BALANCER))


def _compact(n: int) -> str:
    """An ordinary rule: a host with HTTP, and SSH."""
    spec = RuleSpec(
        f"rule {n}",
        timedelta(minutes=15),
        ResourceKind.EC2,
        REGION,
        (f"i-{n:017x}",),
        load_balancer_id=BALANCER,
        http=(HttpRoute((f"service-{n}.dev.example.com",), target_port=8080),),
        tcp=(TcpRoute("ssh", 22, 20_000 + n),),
    )
    return compact_rule(f"ru_{n:012d}", spec, [f"10.0.{n // 250}.{n % 250 + 4}"])
