"""The API's policy covers every question of the checks of a load balancer, and no secret's value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chalicelib.bootstrap import api_handler
from chalicelib.domain.errors import InvalidInputError
from scripts.policies import text
from tests.builders import make_balancer
from tests.contract.conftest_aws import REGION
from tests.unit.entrypoints.test_policies import ACCOUNT, refused

if TYPE_CHECKING:
    from tests.unit.entrypoints.conftest import Stage


def test_the_api_may_look_at_whatever_a_load_balancer_names(stage: Stage) -> None:
    arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:key-abcdef"
    draft = make_balancer("", existing=False, key_pair="ops", api_key_secret_arn=arn)
    with pytest.raises(InvalidInputError) as caught:
        api_handler.services().manage_load_balancers.create(draft, "test", str)
    assert all("could not be looked at" not in fault.message for fault in caught.value.faults)
    assert {operation for _, operation, _ in stage.calls} == {
        "DescribeVpcs",
        "DescribeSubnets",
        "DescribeSecurityGroups",
        "DescribeInstanceTypeOfferings",
        "DescribeInstanceTypes",
        "DescribeKeyPairs",
        "DescribeSecret",
    }
    assert refused(stage, "api_handler") == []


def test_the_api_may_not_read_a_secret() -> None:
    assert "GetSecretValue" not in text("api_handler")
