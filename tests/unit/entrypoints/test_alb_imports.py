"""A cold start of the API: whoever wakes a rule does not wait for what only ALBs need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.settings import SettingsError, from_env

ROOT = Path(__file__).parent.parent.parent.parent
ASK = """
import sys
import app
from chalicelib.bootstrap import api_handler
api_handler.services()
print(",".join(sorted(name for name in sys.modules if name.startswith("chalicelib.") and "alb" in name)))
"""
SETTINGS = {
    "AWS_REGION": "us-east-1",
    "AUTOSTOP_STAGE": "test",
    "AUTOSTOP_TABLE_PREFIX": "autostop-test-",
    "AUTOSTOP_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/0/autostop-test-reconcile",
    "AUTOSTOP_PROVISION_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/0/autostop-test-provision",
    "AUTOSTOP_PROXY_BOUNDARY_ARN": "arn:aws:iam::123456789012:policy/autostop-test-proxy-boundary",
    "AUTOSTOP_PROXY_LOG_GROUP": "/autostop/test/proxy",
}


def test_the_services_are_there_before_any_adapter_or_use_case_of_albs_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, env=os.environ | SETTINGS, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().split(",") == [
        "chalicelib.domain.alb_ignored",
        "chalicelib.domain.alb_limits",
        "chalicelib.domain.alb_traffic",
        "chalicelib.domain.albs",
        "chalicelib.entrypoints.alb_logs",
        "chalicelib.entrypoints.api.alb_model",
        "chalicelib.entrypoints.api.alb_views",
        "chalicelib.ports.alb_traffic",
        "chalicelib.ports.albs",
    ]


def test_the_function_of_a_stage_is_found_by_its_name_unless_its_arn_is_said() -> None:
    assert from_env(SETTINGS).warm_up_function == "autostop-test-warm_up"
    arn = "arn:aws:lambda:us-east-1:123456789012:function:autostop-test-WarmUp-1ABC"
    assert from_env(SETTINGS | {"AUTOSTOP_WARM_UP_FUNCTION_ARN": arn}).warm_up_function == arn
    with pytest.raises(SettingsError, match="AUTOSTOP_WARM_UP_FUNCTION_ARN is not the ARN of a function"):
        from_env(SETTINGS | {"AUTOSTOP_WARM_UP_FUNCTION_ARN": "http://x"})
