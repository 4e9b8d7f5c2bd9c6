"""The progress page: from the start of a cold process to its first byte, and the function's own CPU once it is warm.

Both speak to a DynamoDB and an SQS on loopback that answer at once with canned answers, in a process of their own, so
that what is measured is ours: imports, clients, requests, the page. A client of any other service is an error.
"""

from __future__ import annotations

import json
import os
import selectors
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from scripts.benches.imports import ENV
from scripts.benches.report import report
from scripts.local.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 15
REQUESTS = 300
BASE = "import boto3; boto3.client('dynamodb', region_name='us-east-1'); print('first byte', flush=True)"
EVENT: dict[str, Any] = {
    "requestContext": {
        "elb": {
            "targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/as-lb-1/6d0ecf831eec9f09"
        }
    },
    "httpMethod": "GET",
    "path": "/",
    "queryStringParameters": {},
    "headers": {
        "accept": "text/html,application/xhtml+xml",
        "host": "app.example.com",
        "user-agent": "Mozilla/5.0",
        "x-forwarded-for": "203.0.113.7",
        "x-forwarded-port": "80",
        "x-forwarded-proto": "http",
    },
    "body": "",
    "isBase64Encoded": False,
}
_COLD = """
import json, sys
from chalicelib.entrypoints.warm_up import warm_up
answer = warm_up(json.loads(sys.argv[1]), None)
assert answer["statusCode"] == 503 and "is starting" in answer["body"], answer
print(answer["body"], flush=True)
from botocore.client import BaseClient
import gc
made = {one.meta.service_model.service_name for one in gc.get_objects() if isinstance(one, BaseClient)}
assert made <= {"dynamodb", "sqs"}, f"clients were made that nobody waits for: {made}"
"""
_WARM = """
import json, sys, time
from chalicelib.entrypoints.warm_up import warm_up
event = json.loads(sys.argv[1])
for _ in range(20):
    warm_up(event, None)
times = []
for _ in range(int(sys.argv[2])):
    began = time.process_time()
    warm_up(event, None)
    times.append(time.process_time() - began)
print(sorted(times)[len(times) // 2] * 1000, flush=True)
"""


def run(rounds: int = ROUNDS, requests: int = REQUESTS) -> None:
    """Cold, interleaved with its baseline; then warm."""
    with _services() as url:
        cold: list[float] = []
        base: list[float] = []
        for _ in range(rounds):
            base.append(_first_byte(["-c", BASE], url))
            cold.append(_first_byte(["-c", _COLD, json.dumps(EVENT)], url))
        report("warmup", "page_cold_ms", statistics.median(cold), "ms", statistics.median(base))
        done = subprocess.run(
            [sys.executable, "-c", _WARM, json.dumps(EVENT), str(requests)],
            cwd=ROOT,
            env=_env(url),
            check=True,
            capture_output=True,
            text=True,
        )
        report("warmup", "page_warm_ms", float(done.stdout), "ms")


def _first_byte(arguments: list[str], url: str) -> float:
    """Milliseconds from the start of the process."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=_env(url), stdout=subprocess.PIPE) as process:
        out = cast("IO[bytes]", process.stdout)
        first = out.read(1)
        taken = (time.perf_counter() - began) * 1000
        out.read()
    if not first or process.returncode != 0:
        raise RuntimeError(f"the function did not answer: exit code {process.returncode}")
    return taken


def _env(url: str) -> dict[str, str]:
    env = os.environ | ENV | {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    env["AUTOSTOP_QUEUE_URL"] = f"{url}/000000000000/autostop-bench-reconcile"
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env.pop("AWS_PROFILE", None)
    return env


@contextmanager
def _services() -> Iterator[str]:
    """DynamoDB and SQS as far as the function asks them; in a process of its own, which ends with this one."""
    server = subprocess.Popen(
        [sys.executable, "-m", "scripts.benches.warmup_services"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        out = cast("IO[str]", server.stdout)
        with selectors.DefaultSelector() as ready:
            ready.register(out, selectors.EVENT_READ)
            if not ready.select(30):
                raise RuntimeError("the services of the bench did not start")
        yield f"http://127.0.0.1:{int(out.readline())}"
    finally:
        server.terminate()
        server.wait(10)
