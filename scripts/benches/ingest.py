"""Lines of a log payload to upserts: what the `proxy_logs` function does, on stores in memory.

Against unpacking the same payload and decoding the JSON of each line, or cutting a record of a flow log into its
fields, which whoever ingests it has to do.
"""

from __future__ import annotations

import base64
import gzip
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from chalicelib.adapters.aws.system import RandomIds, SystemClock
from chalicelib.adapters.memory.stores import MemoryStores
from chalicelib.entrypoints.subscriptions import unpack
from chalicelib.usecases.ingest_activity import Ingest
from scripts.benches import ingest_flows
from scripts.benches.report import report

if TYPE_CHECKING:
    from collections.abc import Callable

LINES = 4_000
"""About a megabyte: the most that CloudWatch Logs sends at once."""

RECORDS = 8_000
"""The same of flow logs, whose records are half as long."""

RULES = 500
RUNS = 5
GROUP = "/autostop/bench/proxy"


def run(lines: int = LINES, runs: int = RUNS) -> None:
    """The best of some runs of each, taken in turns."""
    for metric, messages in (("envoy_lines_per_s", _raw(lines)), ("summary_lines_per_s", _summaries(lines))):
        event = _payload(messages)
        own, alone = [], []
        for _ in range(runs):
            own.append(_timed(_ingest, event, lines))
            alone.append(_timed(_decode, event, lines))
        report("ingest", metric, lines / min(own), "1/s", lines / min(alone))
    records = RECORDS * lines // LINES
    event = ingest_flows.payload(records)
    own = [_timed(ingest_flows.ready(), event, records) for _ in range(runs)]
    alone = [_timed(ingest_flows.decode, event, records) for _ in range(runs)]
    report("ingest", "flow_records_per_s", records / min(own), "1/s", records / min(alone))


def _timed(job: Callable[[dict[str, Any]], int], event: dict[str, Any], lines: int) -> float:
    began = time.process_time()
    done = job(event)
    took = time.process_time() - began
    if done != lines:
        raise AssertionError(f"{done} of {lines} lines were understood")
    return took


def _ingest(event: dict[str, Any]) -> int:
    clock = SystemClock()
    stores = MemoryStores(clock)
    ingest = Ingest(
        stores.activity,
        stores.proxies,
        stores.balancers,
        stores.events,
        clock,
        RandomIds(),
        timedelta(minutes=1),
        orjson.loads,
    )
    payload = unpack(event, GROUP)
    done = ingest.run_payload(payload.stream, payload.events)
    return done.lines - done.malformed


def _decode(event: dict[str, Any]) -> int:
    payload = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    return len([json.loads(line["message"]) for line in payload["logEvents"]])


def _payload(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html."""
    at = int(time.time() * 1000)
    payload = {
        "messageType": "DATA_MESSAGE",
        "owner": "000000000000",
        "logGroup": GROUP,
        "logStream": "lb_bench/i-0123456789abcdef0",
        "subscriptionFilters": ["autostop"],
        "logEvents": [
            {"id": f"{n:056d}", "timestamp": at, "message": json.dumps(message)} for n, message in enumerate(messages)
        ],
    }
    data = base64.b64encode(gzip.compress(json.dumps(payload).encode())).decode()
    return {"awslogs": {"data": data}}


def _stamp(at: datetime) -> str:
    """As %START_TIME% has it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _raw(count: int) -> list[dict[str, Any]]:
    """Access-log lines of an Envoy that is not ours, with what people usually log beside what we need."""
    now = datetime.now(UTC)
    return [
        {
            "rule": f"ru_{n % RULES:04d}",
            "start_time": _stamp(now - timedelta(milliseconds=13 * n % 60_000)),
            "type": "DownstreamEnd",
            "bytes_received": n % 900,
            "bytes_sent": n % 90_000,
            "method": "GET",
            "path": f"/orders/{n}",
            "authority": f"h{n % RULES}.example.com",
            "response_code": 200,
            "duration": n % 300,
        }
        for n in range(count)
    ]


def _summaries(count: int) -> list[dict[str, Any]]:
    """An agent's minutes. Each has a figure of its own, so that each is an upsert."""
    now = datetime.now(UTC)
    return [
        {
            "autostop": 1,
            "proxy": "lb_bench",
            "member": "i-0123456789abcdef0",
            "seq": 1,
            "rule": f"ru_{n % RULES:04d}",
            "minute": (now - timedelta(minutes=1 + n // RULES)).strftime("%Y-%m-%dT%H:%M"),
            "last_at": now.isoformat().replace("+00:00", "Z"),
            "requests": 1 + n,
            "connections": 0,
            "open": 0,
            "bytes_in": 120 * n,
            "bytes_out": 9000 * n,
        }
        for n in range(count)
    ]
