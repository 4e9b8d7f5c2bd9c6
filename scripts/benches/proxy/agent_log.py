"""What the agent does with Envoy's access log: how fast it reads it, and how much of it goes to CloudWatch Logs."""

from __future__ import annotations

import asyncio
import json
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws.system import RandomIds
from chalicelib.agent.beliefs import Beliefs
from chalicelib.agent.clock import SystemClock
from chalicelib.agent.envoy_admin import SocketAdmin
from chalicelib.agent.follower import Follower
from chalicelib.agent.settings import Settings
from chalicelib.agent.spool import Spool
from chalicelib.agent.tailer import Tailer
from chalicelib.envoy.activity import Activity
from chalicelib.envoy.compact import CompactConfig, parse_rules
from chalicelib.envoy.listeners import access_log
from scripts.benches.report import report

if TYPE_CHECKING:
    from collections.abc import Iterator

LINES = 60_000
"""Less than what the log is rotated at."""

RULES = 100
RUNS = 5
MINUTES = 10
REQUEST_EVERY = 5.0
EVENT_BYTES = 26
"""What PutLogEvents counts for each event beside its text (AmazonCloudWatchLogs API reference)."""


def run(lines: int = LINES, runs: int = RUNS, rules: int = RULES) -> None:
    """Both."""
    report("proxy", "agent_lines_per_s", lines / min(_read(lines, rules) for _ in range(runs)), "1/s")
    report("proxy", "log_bytes_per_rule_minute", _shipped(rules, MINUTES) / rules / MINUTES, "bytes")


def _read(lines: int, rules: int) -> float:
    """Processor seconds for a log of requests to rules that are up: two lines a request."""
    ids = [f"ru_{n:012d}" for n in range(rules)]
    beliefs = Beliefs()
    items = [{"id": id_, "targets": ["10.0.0.4"], "http": [_http(n)]} for n, id_ in enumerate(ids)]
    beliefs.adopt(CompactConfig(parse_rules(items)), '"r1.s1"', datetime.now(UTC))
    for belief in beliefs.of.values():
        belief.accepts = True
    with TemporaryDirectory(prefix="autostop-bench-") as home:
        log = Path(home) / "access.log"
        tailer = Tailer(log)
        woken: list[str] = []
        activity, admin = Activity(beliefs.ignored), SocketAdmin(Path(home) / "nobody")
        follower = Follower(tailer, activity, beliefs, admin, SystemClock(), lambda id_, _: woken.append(id_), 60)
        now = time.time()
        records = (line for n in range(lines // 2) for line in _request(ids[n % rules], f"{n:032x}", now))
        log.write_bytes(b"".join(records))
        began = time.process_time()
        asyncio.run(follower.follow())
        took = time.process_time() - began
    served = sum(minute.requests for minute in activity.minutes.values())
    if served != lines // 2 or woken or activity.malformed:
        raise AssertionError(f"{served} of {lines // 2} requests were counted, {len(woken)} woken for")
    return took


def _shipped(rules: int, minutes: int) -> int:
    """Bytes to CloudWatch Logs while every rule is in use all the time, with the default heartbeat.

    Heartbeats end on the minute, as the agent's do, but for the first, which begins in the middle of one.
    """
    ids = RandomIds()
    names = [ids.new("ru") for _ in range(rules)]
    activity = Activity()
    sent = 0
    with TemporaryDirectory(prefix="autostop-bench-") as home:
        at = Path(home)
        member = f"i-{random.getrandbits(68):017x}"
        settings = Settings("", ids.new("lb"), member, "us-east-1", "", at, at / "state", at / "key")
        spool = Spool(settings)
        start = time.time() // 60 * 60
        for beat in range(minutes + 1):
            through = start + beat * settings.heartbeat_seconds
            for second in _seconds(max(start, through - settings.heartbeat_seconds), through):
                for name in names:
                    for line in _request(name, f"{name}{second}", second):
                        activity.feed(line)
            sequence = spool.add(
                activity.take(), datetime.fromtimestamp(through, UTC), "r12.s45", (1, beat), hole=beat == 0
            )
            sent += sum(len(line) + EVENT_BYTES for line in sequence.lines)
    return sent


def _seconds(start: float, end: float) -> Iterator[float]:
    while start < end:
        yield start
        start += REQUEST_EVERY


def _http(n: int) -> dict[str, Any]:
    return {"hosts": [f"h{n}.example.com"], "paths": ["/*"], "port": 80, "target": 8080}


def _request(rule: str, stream: str, at: float) -> list[bytes]:
    """The two records of a request, with the fields that our listeners write."""
    fields: dict[str, str] = access_log(Path(), rule)[0]["typed_config"]["log_format"]["json_format"]
    values: dict[str, Any] = {
        "t": f"{at:.3f}",
        "id": stream,
        "ip": "203.0.113.7",
        "lp": 80,
        "h": "h17.example.com",
        "p": "/orders/2026/11/24",
    }
    start = fields | values | {"ty": "DownstreamStart", "r": rule, "rx": 0, "tx": 0, "u": 0, "cl": None}
    end = start | {"ty": "DownstreamEnd", "rx": 120, "tx": 9000, "u": 7, "cl": f"t-{rule}-8080"}
    return [json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in (start, end)]
