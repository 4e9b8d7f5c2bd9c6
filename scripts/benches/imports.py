"""What a cold start of each function imports, in fresh processes, beside importing chalice, boto3 and pynamodb."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from scripts.benches.handlers import API, handlers
from scripts.benches.report import report
from scripts.local.stack import ROOT

ROUNDS = 15
BUDGET, API_BUDGET = 1.5, 2.2
"""Times the baseline: of an event function, and of the one that answers the API."""

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


def run(rounds: int = ROUNDS) -> None:
    """With what each handler builds at its first call, since that is where its imports are."""
    known = handlers()
    times: dict[str, list[float]] = {"": [], **{name: [] for name in known}}
    for _ in range(rounds):
        times[""].append(_timed(BASE))
        for name, handler in known.items():
            times[name].append(_timed(handler.code, f"{handler.module}.{handler.function}"))
    baseline = statistics.median(times.pop(""))
    for name, measured in times.items():
        metric, budget = (f"import_handler_{name}_ms", BUDGET) if name != API else ("import_app_ms", API_BUDGET)
        report("import", metric, statistics.median(measured), "ms", baseline, budget)


def _timed(code: str, handler: str = "") -> float:
    env = os.environ | ENV | {"_HANDLER": handler}  # as Lambda says which function this is
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True)
    return (time.perf_counter() - began) * 1000
