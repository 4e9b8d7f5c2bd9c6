"""Records of VPC flow logs to upserts: what the `flow_logs` function does, on stores in memory."""

from __future__ import annotations

import base64
import gzip
import json
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
LAYOUT = FlowFormat.of(VERSION_2)


def payload(count: int) -> dict[str, Any]:
    """Records of 500 interfaces of rules and of 200 of others, to ports that are watched and to some that are not."""
    now = int(time.time()) - 3600
    records = []
    for n in range(count):
        eni, port, start = n % (RULES + 200), (22, 443, 8080)[n % 3], now + n // 100 * 60
        counts = f"{n % 90} {n * 7}"
        records.append(
            f"2 123456789012 eni-{eni:017x} 192.0.2.{n % 250} {_address(eni)} {40_000 + n % 2_000} {port} 6 {counts} "
            f"{start} {start + 59} ACCEPT OK"
        )
    events = [{"id": f"{n:056d}", "timestamp": (now + n) * 1000, "message": one} for n, one in enumerate(records)]
    data = {"messageType": "DATA_MESSAGE", "logGroup": GROUP, "logStream": "eni-all", "logEvents": events}
    return {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(data).encode())).decode()}}


def ready() -> Callable[[dict[str, Any]], int]:
    """The function as it has just started: what is watched it has yet to read. Answers how many it understood."""
    clock = SystemClock()
    stores = MemoryStores(clock)
    for n in range(RULES):
        interface = Interface(f"eni-{n:017x}", (_address(n),))
        stores.flows.watch(FlowWatch(f"ru_{n:04d}", (interface,), (22, 8080)))
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


def _address(n: int) -> str:
    return f"10.0.{n // 250}.{n % 250}"
