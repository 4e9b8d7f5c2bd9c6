"""X-Ray: its SDK is imported by nobody whom Lambda does not sample, and tells of those whom it does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
FUNCTIONS = ("tick", "reconcile", "discover", "ec2_state", "rds_state", "ec2_calls", "proxy_logs")
MODULES = ["app", *(f"chalicelib.entrypoints.{name}" for name in FUNCTIONS)]
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled="
ONE_REQUEST = """
import os, app
from chalice.test import Client
from chalicelib.bootstrap import telling
with Client(app.app) as client:
    with telling.tracer().step("warm"):
        pass
    assert client.http.get("/health").status_code == 200
"""


def run(code: str, **env: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "_X_AMZN"))}
    stage = {
        "AWS_REGION": "us-east-1",
        "AUTOSTOP_STAGE": "test",
        "AUTOSTOP_TABLE_PREFIX": "autostop-test-",
        "AUTOSTOP_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/0/autostop-test-reconcile",
        "AUTOSTOP_PROVISION_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/0/autostop-test-provision",
        "AUTOSTOP_PROXY_BOUNDARY_ARN": "arn:aws:iam::123456789012:policy/autostop-test-proxy-boundary",
        "AUTOSTOP_PROXY_LOG_GROUP": "/autostop/test/proxy",
    }
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=clean | stage | env, check=True, timeout=60)


@pytest.mark.parametrize("sampled", ["0", "1"])
@pytest.mark.parametrize("module", MODULES)
def test_importing_a_handler_never_imports_the_sdk(module: str, sampled: str) -> None:
    code = f"import sys, {module}; assert not [name for name in sys.modules if name.startswith('aws_xray_sdk')]"
    run(code, _X_AMZN_TRACE_ID=TRACE + sampled)


def test_an_invocation_that_is_not_sampled_never_imports_it() -> None:
    run(f"{ONE_REQUEST}\nimport sys; assert 'aws_xray_sdk' not in sys.modules", _X_AMZN_TRACE_ID=TRACE + "0")


def test_a_sampled_invocation_tells_the_daemon_of_its_route() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(10)
        address = f"127.0.0.1:{daemon.getsockname()[1]}"
        run(
            ONE_REQUEST,
            _X_AMZN_TRACE_ID=TRACE + "1",
            AWS_XRAY_DAEMON_ADDRESS=address,
            LAMBDA_TASK_ROOT=str(ROOT),
        )
        told = [json.loads(daemon.recv(65536).split(b"\n", 1)[1]) for _ in range(2)]
    assert [segment["name"] for segment in told] == ["warm", "route"]
    assert told[1]["annotations"] == {"route": "/health", "method": "GET"}
    assert told[1]["trace_id"] == "1-5759e988-bd862e3fe1be46a994272793"
