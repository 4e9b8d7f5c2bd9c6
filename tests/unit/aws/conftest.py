"""A wire between boto3 and AWS: it counts the calls, and answers those that a test scripts."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.adapters.aws.clients import client, forget
from chalicelib.domain.resources import OWN_ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.model import OperationModel

    from chalicelib.domain.resources import Connector


def refusal(code: str, message: str = "words of AWS", operation: str = "StartInstances") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


class Wire:
    """`on[operation]` takes the call's parameters and answers, or raises. A call that nobody scripted fails."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.on: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}

    def tap(self, service: str, region: str = "us-east-1", connector: Connector = OWN_ACCOUNT) -> None:
        events = client(service, region, connector).meta.events
        events.register_first("provide-client-params.*", self._note)
        events.register_first("before-call.*", self._answer)

    @property
    def count(self) -> Counter[str]:
        return Counter(name for name, _ in self.calls)

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [params for name, params in self.calls if name == operation]

    def _note(self, params: dict[str, Any], model: OperationModel, **_: object) -> None:
        self.calls.append((model.name, params))

    def _answer(self, model: OperationModel, **_: object) -> tuple[object, dict[str, Any]]:
        return SimpleNamespace(status_code=200), self.on[model.name](self.calls[-1][1])


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    forget()
    yield
    forget()


@pytest.fixture
def wire() -> Wire:
    return Wire()
