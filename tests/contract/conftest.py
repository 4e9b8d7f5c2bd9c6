"""Every suite of this folder runs once on each adapter of its port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from chalicelib.adapters.dynamodb.models import ALL_MODELS
from chalicelib.adapters.dynamodb.stores import build_stores
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.adapters.memory.stores import MemoryStores
from tests.builders import make_balancer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may ever reach a real account, or a demo that runs beside the tests."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["memory", "dynamodb"])
def stores(request: pytest.FixtureRequest, clock: VirtualClock) -> Iterator[SimpleNamespace]:
    """The stores, with load balancer `lb_1`."""
    if request.param == "memory":
        found = MemoryStores(clock)
        found.balancers.create(make_balancer())
        yield found
        return
    with mock_aws():
        boto3.setup_default_session(region_name="us-east-1")
        found = build_stores("test-", "us-east-1", clock)
        for model in ALL_MODELS:
            model.create_table(wait=False)
        found.balancers.create(make_balancer())
        yield found
