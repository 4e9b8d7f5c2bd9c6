"""The subscription function's hostile side."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.entrypoints.subscriptions import UnreadablePayloadError, unpack

GROUP = "/autostop/test/proxy"


def payload(**changes) -> dict:
    data = {
        "messageType": "DATA_MESSAGE",
        "logGroup": GROUP,
        "logStream": "lb_1/i-1",
        "logEvents": [{"id": "1", "timestamp": 1764000000000, "message": "{}"}],
    } | changes
    return {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(data).encode())).decode()}}


def test_a_payload_is_unpacked():
    found = unpack(payload(), GROUP)
    assert (found.stream, found.events) == ("lb_1/i-1", [{"id": "1", "timestamp": 1764000000000, "message": "{}"}])


def test_what_json_allows_and_the_faster_reader_does_not_is_read_too():
    found = unpack(payload(logEvents=[float("nan"), "\ud800"]), GROUP)
    assert found.events[1] == "\ud800"


def test_a_control_message_has_no_lines():
    assert unpack(payload(messageType="CONTROL_MESSAGE"), GROUP).events == []


@pytest.mark.parametrize(
    "event",
    [
        payload(logGroup="/somebody/elses"),
        payload(logEvents=7),
        {},
        None,
        {"awslogs": {"data": "not base64!"}},
        {"awslogs": {"data": base64.b64encode(b"not gzip").decode()}},
        {"awslogs": {"data": base64.b64encode(gzip.compress(b"{}" * 1000)[:-9]).decode()}},
    ],
)
def test_what_is_foreign_truncated_or_malformed_is_one_small_error(event):
    with pytest.raises(UnreadablePayloadError):
        unpack(event, GROUP)


@given(st.binary())
def test_any_bytes_are_a_payload_or_that_error(raw):
    with pytest.raises(UnreadablePayloadError):
        unpack({"awslogs": {"data": base64.b64encode(gzip.compress(raw)).decode()}}, GROUP)
