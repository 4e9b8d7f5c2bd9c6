"""Records of VPC flow logs to upserts: what the `flow_logs` function does, on stores in memory."""

from __future__ import annotations

import base64
import gzip
import json
import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws.system import SystemClock
from chalicelib.adapters.memory.stores import MemoryStores
from chalicelib.domain.flow_logs import VERSION_2, FlowFormat, FlowWatch, Interface, Least
from chalicelib.entrypoints.subscriptions import unpack
from chalicelib.usecases.ingest_flows import IngestFlows

if TYPE_CHECKING:
    from collections.abc import Callable

RULES = 500
GROUP = "/autostop/bench/flow"
ENI, ADDRESS = "eni-0123456789abcdef0", "10.0.0.5"
LAYOUT = FlowFormat.of(VERSION_2)


def payload(count: int) -> dict[str, Any]:
    """Ten minutes of one interface, which is one log stream: thousands of flows, a third of them to a watched port."""
    now, chance = int(time.time()) - 3600, random.Random(1)  # noqa: S311  (made-up traffic)
    records = []
    for n in range(count):
        port, start = (22, 443, 8080)[n % 3], now + n * 600 // count // 60 * 60 + chance.randrange(30)
        counts, end = f"{chance.randrange(90)} {chance.randrange(90_000)}", start + chance.randrange(30)
        source = f"192.0.{n % 7}.{n % 250}"
        records.append(
            f"2 123456789012 {ENI} {source} {ADDRESS} {chance.randrange(32_768, 60_999)} {port} 6 {counts} "
            f"{start} {end} ACCEPT OK"
        )
    events = [{"id": f"{n:056d}", "timestamp": (now + n) * 1000, "message": one} for n, one in enumerate(records)]
    data = {"messageType": "DATA_MESSAGE", "logGroup": GROUP, "logStream": f"{ENI}-all", "logEvents": events}
    return {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(data).encode())).decode()}}


def ready() -> Callable[[dict[str, Any]], int]:
    """The function as it has just started: what is watched it has yet to read. Answers how many it understood."""
    clock = SystemClock()
    stores = MemoryStores(clock)
    for n in range(RULES):
        interface = Interface(ENI if n == 0 else f"eni-{n:017x}", (ADDRESS,))
        stores.flows.watch(FlowWatch(f"ru_{n:04d}", (interface,), (22,)))
    function = IngestFlows(stores.activity, stores.flows, clock, LAYOUT, timedelta(minutes=1), Least())

    def ingest(event: dict[str, Any]) -> int:
        found = unpack(event, GROUP)
        report = function.run(found.stream, found.events)
        return report.records - report.malformed

    return ingest


def decode(event: dict[str, Any]) -> int:
    """Unpacking the same payload and cutting each record into its fields, which whoever ingests it has to do."""
    data = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    return len([line["message"].split() for line in data["logEvents"]])
