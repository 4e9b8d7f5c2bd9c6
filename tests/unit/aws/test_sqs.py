from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.aws.sqs import SqsQueue, decode, encode
from chalicelib.domain.errors import CloudError, InvalidInputError
from chalicelib.domain.resources import Connector, Place, ResourceKind
from chalicelib.ports import ReconcileRequest
from chalicelib.usecases.requests import GROUP, requests_for
from tests.contract.conftest_aws import make_sqs_queue

if TYPE_CHECKING:
    from tests.unit.aws.conftest import Wire

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


def request(id_: str = "ru_1", **changes: Any) -> ReconcileRequest:
    settings: dict[str, Any] = {"rule_ids": (id_,), "expires_at": NOW, "cause": "tick"} | changes
    return ReconcileRequest(place=Place(ResourceKind.EC2, "us-east-1"), **settings)


@given(
    st.builds(
        ReconcileRequest,
        place=st.builds(
            Place,
            st.sampled_from(ResourceKind),
            st.sampled_from(["us-east-1", "us-gov-west-1", "ap-southeast-2"]),
            st.builds(Connector, st.text(max_size=60), st.text(max_size=60)),
        ),
        rule_ids=st.lists(st.from_regex(r"ru_[a-z0-9]{1,40}", fullmatch=True), min_size=1, max_size=100).map(tuple),
        expires_at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        cause=st.text(max_size=200),
        attempt=st.integers(0, 100),
    )
)
def test_what_is_encoded_is_decoded(sent: ReconcileRequest) -> None:
    assert decode(encode(sent)) == sent


def test_the_largest_message_that_is_asked_for_is_read() -> None:
    place = Place(ResourceKind.EC2, "us-east-1")
    many = requests_for(((f"ru_{n:026}", place) for n in range(GROUP + 1)), "tick", NOW)
    assert [len(one.rule_ids) for one in many] == [GROUP, 1]
    assert [decode(encode(one)) for one in many] == list(many)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_a_request_or_invalid_input(body: str) -> None:
    with suppress(InvalidInputError):
        decode(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(
    field=st.sampled_from(["v", "kind", "region", "connector", "rule_ids", "expires_at", "cause", "attempt"]),
    value=JSON,
)
def test_a_message_with_one_hostile_field(field: str, value: object) -> None:
    body = json.dumps(json.loads(encode(request())) | {field: value})
    try:
        found = decode(body)
    except InvalidInputError as error:
        assert [fault.field for fault in error.faults] == [field]  # noqa: PT017  (it may as well be right)
    else:
        assert all(isinstance(id_, str) for id_ in found.rule_ids)
        assert isinstance(found.attempt, int)
        assert found.expires_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 2),
        ("v", None),
        ("kind", "lambda"),
        ("kind", ["ec2"]),
        ("region", "us-east-1.evil.example"),
        ("rule_ids", []),
        ("rule_ids", "ru_1"),
        ("rule_ids", [1]),
        ("rule_ids", ["ru_1"] * 501),
        ("rule_ids", ["../etc"]),
        ("expires_at", "2026-01-05T08:00:00"),
        ("expires_at", "0001-01-01T00:00:00+14:00"),
        ("expires_at", 1767600000),
        ("cause", "x" * 201),
        ("attempt", True),
        ("attempt", -1),
        ("attempt", "1"),
        ("attempt", 1.5),
    ],
)
def test_strict(field: str, value: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        decode(json.dumps(json.loads(encode(request())) | {field: value}))
    assert [fault.field for fault in caught.value.faults] == [field]


def test_all_faults_at_once() -> None:
    with pytest.raises(InvalidInputError) as caught:
        decode('{"v": 1}')
    assert {f.field for f in caught.value.faults} == {"kind", "region", "rule_ids", "expires_at", "cause", "attempt"}


@pytest.mark.parametrize("body", ["", "null", "[]", "1", '"v"', "[" * 100_000, '{"v": 1', "NaN"])
def test_not_a_message(body: str) -> None:
    with pytest.raises(InvalidInputError):
        decode(body)


def test_times_become_utc() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5)))
    assert decode(encode(request(expires_at=there))).expires_at == NOW


def test_ten_a_call(wire: Wire) -> None:
    wire.tap("sqs")
    wire.on["SendMessageBatch"] = lambda _: {"Successful": []}
    SqsQueue("https://sqs/q", "us-east-1").send([request(f"ru_{n}") for n in range(25)])
    assert [len(call["Entries"]) for call in wire.asked("SendMessageBatch")] == [10, 10, 5]


def test_partial_failures_raise_once_everything_was_sent(wire: Wire) -> None:
    wire.tap("sqs")
    failure = {"Id": "3", "SenderFault": False, "Code": "InternalError", "Message": "try again"}
    wire.on["SendMessageBatch"] = lambda call: {"Failed": [failure] if len(call["Entries"]) == 10 else []}
    with pytest.raises(CloudError, match="2 of 25 messages were refused: try again") as caught:
        SqsQueue("https://sqs/q", "us-east-1").send([request(f"ru_{n}") for n in range(25)])
    assert (caught.value.code, caught.value.retryable) == ("InternalError", True)
    assert len(wire.calls) == 3


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        (None, 0),
        (timedelta(seconds=-5), 0),
        (timedelta(milliseconds=1), 1),
        (timedelta(seconds=2), 2),
        (timedelta(seconds=2.4), 3),
        (timedelta(hours=1), 900),
    ],
)
def test_never_before_its_delay(wire: Wire, delay: timedelta | None, seconds: int) -> None:
    wire.tap("sqs")
    wire.on["SendMessageBatch"] = lambda _: {}
    SqsQueue("https://sqs/q", "us-east-1").send([request()], delay)
    assert wire.calls[0][1]["Entries"][0]["DelaySeconds"] == seconds


def test_nothing_to_send_is_no_call(wire: Wire) -> None:
    wire.tap("sqs")
    SqsQueue("https://sqs/q", "us-east-1").send([])
    assert not wire.calls


def test_on_moto() -> None:
    with make_sqs_queue() as (queue, receive):
        sent = [request(f"ru_{n}") for n in range(12)]
        queue.send(sent)
        assert sorted(receive(), key=lambda r: r.rule_ids) == sorted(sent, key=lambda r: r.rule_ids)
        assert receive() == []
