"""What a cold start imports, each in a fresh process, interleaved with importing chalice, boto3 and pynamodb alone."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from scripts.benches.report import report
from scripts.local.stack import ROOT

ROUNDS = 15
BASE = "import chalice, boto3, pynamodb.models"
ENV = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AUTOSTOP_STAGE": "bench",
    "AUTOSTOP_TABLE_PREFIX": "autostop-bench-",
    "AUTOSTOP_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/autostop-bench-reconcile",
    "AUTOSTOP_PROVISION_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/autostop-bench-provision",
    "AUTOSTOP_PROXY_BOUNDARY_ARN": "arn:aws:iam::000000000000:policy/autostop-bench-proxy-boundary",
    "AUTOSTOP_PROXY_LOG_GROUP": "/autostop/bench/proxy",
}
HANDLERS = {
    "tick": "scheduler.tick",
    "reconcile": "scheduler.reconciler",
    "discover": "scheduler.discover",
    "ec2_state": "scheduler.state_change",
    "rds_state": "scheduler.state_change",
    "ec2_calls": "scheduler.manual_change",
    "proxy_logs": "evidence.ingest",
    "warm_up": "traffic.answer_traffic",
}


def run() -> None:
    """With what each handler builds at its first call, since that is where its imports are."""
    cases = {
        "base": BASE,
        "import_app_ms": "import app; from chalicelib.bootstrap import api_handler; api_handler.services()",
    }
    for name, build in HANDLERS.items():
        module = build.partition(".")[0]
        cases[f"import_handler_{name}_ms"] = (
            f"import chalicelib.entrypoints.{name}; from chalicelib.bootstrap import {module}; {build}()"
        )
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, code in cases.items():
            times[name].append(_timed(code))
    baseline = statistics.median(times.pop("base"))
    for name, measured in times.items():
        report("import", name, statistics.median(measured), "ms", baseline)


def _timed(code: str) -> float:
    env = os.environ | ENV
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True)
    return (time.perf_counter() - began) * 1000
