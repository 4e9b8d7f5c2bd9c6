"""Hostile lines: understood whole, or refused by one small error."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.loglines import HeartbeatLine, MalformedLineError, RawLine, SummaryLine, parse_line

SUMMARY = {
    "autostop": 1, "proxy": "lb_1", "member": "i-1", "seq": 812, "rule": "ru_1", "minute": "2026-11-22T21:40",
    "last_at": "2026-11-22T21:40:12Z", "requests": 3, "connections": 1, "open": 1, "bytes_in": 120, "bytes_out": 9000,
}  # fmt: skip
BEAT = {
    "autostop": 1, "proxy": "lb_1", "member": "i-1", "seq": 812, "observed_from": "2026-11-22T21:40:00Z",
    "observed_through": "2026-11-22T21:41:00Z", "summaries": 1, "config": "r1.s2", "agent": "0.1.0", "envoy": "1.40.0",
}  # fmt: skip
RAW = {
    "rule": "ru_1", "start_time": "2026-11-22T21:40:00.123Z", "type": "DownstreamEnd",
    "bytes_received": 1, "bytes_sent": "2",
}  # fmt: skip


def test_the_lines_of_the_contract_are_understood() -> None:
    assert isinstance(parse_line(json.dumps(SUMMARY), "s"), SummaryLine)
    assert isinstance(parse_line(json.dumps(BEAT), "s"), HeartbeatLine)
    raw = parse_line(json.dumps(RAW), "s")
    assert isinstance(raw, RawLine)
    assert raw.bytes_out == 2


def test_a_raw_heartbeat_proves_time_for_the_member_of_its_log_stream() -> None:
    line = parse_line(json.dumps(RAW | {"rule": "autostop:heartbeat"}), "lb_1/envoy-1")
    assert isinstance(line, HeartbeatLine)
    assert line.beat.member == "envoy-1"
    assert line.beat.hole
    with pytest.raises(MalformedLineError):
        parse_line(json.dumps(RAW | {"rule": "autostop:heartbeat"}), "somewhere")


@pytest.mark.parametrize("base", [SUMMARY, BEAT, RAW], ids=["summary", "heartbeat", "raw"])
@given(data=st.data())
def test_any_field_may_be_anything_and_only_one_error_comes_of_it(base: dict[str, object], data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(base)))
    value = data.draw(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()) | st.just({})
    )
    with contextlib.suppress(MalformedLineError):
        parse_line(json.dumps(base | {field: value}), "lb_1/x")


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")) | st.just("[" * 100_000))
def test_any_text_is_a_line_or_a_malformed_line(text: str) -> None:
    with contextlib.suppress(MalformedLineError):
        parse_line(text, text)
