"""What `ports.Resolver` promises, of memory and of the system; nothing here leaves the machine."""

from __future__ import annotations

import socket

import pytest

from chalicelib.adapters.memory.alb_account import FakeResolver
from chalicelib.adapters.resolver import SystemResolver
from chalicelib.domain.errors import CloudError


@pytest.fixture(params=["memory", "system"])
def resolver(request):
    if request.param == "system":
        return SystemResolver()
    return FakeResolver({"localhost": frozenset({"127.0.0.1", "::1"}), "127.0.0.1": frozenset({"127.0.0.1"})})


def test_a_name_has_its_addresses(resolver):
    assert resolver.addresses("localhost") <= {"127.0.0.1", "::1"}
    assert resolver.addresses("localhost")
    assert resolver.addresses("127.0.0.1") == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("number", "retryable"), [(socket.EAI_AGAIN, True), (socket.EAI_FAIL, True), (socket.EAI_NONAME, None)]
)
def test_a_name_that_has_none_is_not_a_server_that_does_not_answer(monkeypatch, number, retryable):
    def answer(*_args, **_more):
        raise socket.gaierror(number, "words of the resolver")

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    if retryable is None:
        assert SystemResolver().addresses("none.example.com") == frozenset()
        return
    with pytest.raises(CloudError) as caught:
        SystemResolver().addresses("app.example.com")
    assert caught.value.retryable


def test_what_can_be_no_name_is_refused():
    with pytest.raises(CloudError):
        SystemResolver().addresses(f"{'a' * 64}.example.com")
