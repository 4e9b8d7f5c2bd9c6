"""A stage's name fits everywhere it is put, and its section of the configuration keeps what people set."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.base_stack import log_group_of
from scripts.deployment.config_file import ROOMY, WARM_UP_CONCURRENCY, wanted
from scripts.deployment.errors import WrongStageError
from scripts.deployment.stage import LONGEST, Stage, checked

OUTPUTS = {"QueueUrl": "https://q/r", "ProvisionQueueUrl": "https://q/p", "ProxyBoundaryArn": "arn:aws:iam::1:policy/x"}
HERE = Stage("dev", "eu-central-1", "123456789012", Path("/nowhere"))


@given(st.from_regex(r"[a-z][a-z0-9-]{0,15}", fullmatch=True).filter(lambda name: name != "local" and name[-1] != "-"))
def test_a_name_that_is_taken_fits_into_every_limit_of_aws(name):
    assert checked(name) == name
    longest_region = "ap-southeast-1"
    assert len(f"autostop-{name}-alb-logs-123456789012-{longest_region}") <= 63
    stage = Stage(name, longest_region, "123456789012", Path())
    assert max(len(function) for function in stage.functions.values()) <= 64
    assert len(log_group_of(name, "provision_sweep")) <= 512


@pytest.mark.parametrize("name", ["", "Dev", "1st", "a_b", "x" * (LONGEST + 1), "dev-", "../x", "dev prod"])
def test_a_name_that_would_not_fit_is_refused(name):
    with pytest.raises(WrongStageError, match="is no name for a stage"):
        checked(name)


def test_the_stage_of_the_demo_is_not_for_an_account():
    with pytest.raises(WrongStageError, match="choose another name"):
        checked("local")


def test_what_people_set_in_a_section_stays_and_what_the_stack_made_is_as_it_says():
    old = {
        "environment_variables": {"AUTOSTOP_FLOW_LOG_FIELDS": "${version}", "AUTOSTOP_QUEUE_URL": "old"},
        "lambda_functions": {"tick": {"lambda_memory_size": 256}},
    }
    new = wanted(HERE, OUTPUTS, old, ROOMY)
    assert new["environment_variables"]["AUTOSTOP_FLOW_LOG_FIELDS"] == "${version}"
    assert new["environment_variables"]["AUTOSTOP_QUEUE_URL"] == "https://q/r"
    assert new["lambda_functions"] == {"tick": {"lambda_memory_size": 256}}
    assert wanted(HERE, OUTPUTS, new, ROOMY) == new


def test_concurrency_is_reserved_for_the_warm_up_function_only_in_an_account_that_has_room():
    roomy, small = wanted(HERE, OUTPUTS, None, ROOMY), wanted(HERE, OUTPUTS, None, 10)
    assert roomy["lambda_functions"]["warm_up"] == {"reserved_concurrency": WARM_UP_CONCURRENCY}
    assert "lambda_functions" not in small
