"""Every suite of this folder runs once on each adapter of its port."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.handlers import BUILTIN_HANDLERS
from moto import mock_aws

from chalicelib.adapters.dynamodb.models import ALL_MODELS
from chalicelib.adapters.dynamodb.stores import build_stores
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.adapters.memory.stores import MemoryStores
from tests.builders import make_balancer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import SimpleNamespace

    from botocore.model import OperationModel

WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})


class Meanwhile:
    """What somebody else does while a call is under way: `with meanwhile(do): call()`.

    In DynamoDB it happens after what the call read and right before its first (or `write`th) write. In memory, where
    a call is one step, it happens before the call.
    """

    def __init__(self) -> None:
        self.one_step = False
        self._do: Callable[[], object] | None = None
        self._write = 0

    @contextmanager
    def __call__(self, do: Callable[[], object], write: int = 1) -> Iterator[None]:
        if self.one_step:
            do()
            yield
            return
        self._do, self._write = do, write
        try:
            yield
            assert self._do is None or write > 1, "the call wrote nothing, so nothing happened meanwhile"
        finally:
            self._do = None

    def again(self, do: Callable[[], object]) -> None:
        """Said by what happens meanwhile: at the next write, this."""
        self._do, self._write = do, 1

    def before_call(self, model: OperationModel, **_: object) -> None:
        if self._do is None or model.name not in WRITES:
            return
        self._write -= 1
        if self._write == 0:
            do, self._do = self._do, None
            do()


MEANWHILE = Meanwhile()
BUILTIN_HANDLERS.append(("before-call.dynamodb", MEANWHILE.before_call))  # in every client made from here on

CONNECTIONS: dict[Any, Any] = {}
"""The models' connections, each with a client: made once, for they cost more than all of these tests."""


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
            model._connection = CONNECTIONS.get(model)
            model.create_table(wait=False)
            CONNECTIONS[model] = model._connection
        found.balancers.create(make_balancer())
        yield found


@pytest.fixture
def meanwhile(stores: SimpleNamespace) -> Meanwhile:
    MEANWHILE.one_step = isinstance(stores, MemoryStores)
    return MEANWHILE
