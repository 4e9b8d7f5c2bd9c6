"""Access-log records to activity."""

from __future__ import annotations

import json
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.envoy.activity import Activity
from chalicelib.envoy.compact import Ignore

T0 = 1_795_536_000.0


def line(kind: str, stream: str = "s1", at: float = T0, rx: int = 0, tx: int = 0, u: int = 0, **more) -> bytes:
    record = {"ty": kind, "r": "ru_1", "id": stream, "t": f"{at:.3f}", "rx": rx, "tx": tx, "u": u, "ip": "203.0.113.7"}
    return json.dumps(record | more).encode()


def only(activity: Activity):
    (minute,) = activity.take().values()
    return minute


def test_a_start_says_who_is_there():
    started = Activity().feed(line("TcpConnectionStart", lp=20001))
    assert (started.rule, started.tcp, started.source, started.port) == ("ru_1", True, "203.0.113.7", 20001)


def test_a_held_connection_is_no_activity():
    activity = Activity()
    activity.feed(line("TcpConnectionStart"))
    activity.feed(line("TcpPeriodic", at=T0 + 60))
    assert activity.take() == {}
    assert set(activity.held) == {"s1"}


def test_a_hold_that_was_given_up_is_no_activity():
    activity = Activity()
    for kind, u in (("TcpConnectionStart", 0), ("TcpUpstreamConnected", 5), ("TcpConnectionEnd", 5)):
        activity.feed(line(kind, u=u))
    assert only(activity).last_at is None
    assert activity.held == {}


def test_bytes_are_counted_as_differences_and_an_idle_open_connection_is_not_use():
    activity = Activity()
    activity.feed(line("TcpConnectionStart"))
    activity.feed(line("TcpUpstreamConnected", u=5, rx=10, tx=20))
    activity.feed(line("TcpPeriodic", at=T0 + 10, u=5, rx=15, tx=20))
    activity.feed(line("TcpPeriodic", at=T0 + 20, u=5, rx=15, tx=20))
    minute = only(activity)
    assert (minute.bytes_in, minute.bytes_out, minute.connections, minute.open) == (15, 20, 1, 1)
    assert minute.last_at == T0 + 10


def test_the_page_is_no_activity_and_an_answer_of_the_target_is():
    activity = Activity()
    activity.feed(line("DownstreamStart"))
    activity.feed(line("DownstreamEnd", u=7, tx=500, cl="warm-up"))
    assert activity.take() == {}
    activity.feed(line("DownstreamStart", "s2"))
    activity.feed(line("DownstreamEnd", "s2", u=8, tx=500, cl="t-ru_1-8080"))
    assert only(activity).requests == 1


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30))
def test_whatever_the_periods_the_bytes_add_up(deltas):
    activity = Activity()
    activity.feed(line("TcpConnectionStart"))
    total = 0
    for n, delta in enumerate(deltas):
        total += delta
        activity.feed(line("TcpPeriodic", at=T0 + n, u=5, rx=total))
    activity.feed(line("TcpConnectionEnd", at=T0 + len(deltas), u=5, rx=total))
    assert sum(minute.bytes_in for minute in activity.take().values()) == total


@given(st.binary() | st.text().map(str.encode))
def test_no_line_ever_raises(raw):
    activity = Activity()
    assert activity.feed(raw) is None


@given(st.sampled_from(["ty", "r", "id", "t", "rx", "tx", "u", "lp"]), st.none() | st.text() | st.lists(st.integers()))
def test_any_field_may_be_anything(field, value):
    Activity().feed(json.dumps(json.loads(line("TcpConnectionStart")) | {field: value}).encode())


def test_a_held_request_is_held_until_it_has_an_upstream_or_an_end():
    activity = Activity()
    activity.feed(line("DownstreamStart"))
    activity.feed(line("DownstreamPeriodic", at=T0 + 60))
    assert set(activity.held) == {"s1"}
    activity.feed(line("DownstreamPeriodic", at=T0 + 120, u=5))
    assert activity.held == {}


def test_a_stream_that_began_before_us_is_used_but_its_past_bytes_are_not_counted_again():
    activity = Activity()
    activity.feed(line("TcpPeriodic", u=5, rx=1_000_000, tx=1))
    minute = only(activity)
    assert (minute.last_at, minute.bytes_in) == (T0, 0)
    activity.feed(line("TcpPeriodic", at=T0 + 1, u=5, rx=1_000_010, tx=1))
    assert only(activity).bytes_in == 10


def test_streams_that_nothing_is_heard_of_are_forgotten():
    activity = Activity()
    activity.feed(line("TcpConnectionStart"))
    activity.feed(line("TcpConnectionStart", "s2", at=T0 + 100))
    assert activity.forget_silent(T0 + 50) == 1
    assert set(activity.held) == {"s2"}


def test_records_of_ignored_clients_are_dropped_even_in_the_middle_of_a_stream():
    ignored = {}
    activity = Activity(ignored)
    activity.feed(line("TcpConnectionStart"))
    ignored["ru_1"] = Ignore(networks=(ip_network("203.0.113.0/24"),))
    activity.feed(line("TcpPeriodic", u=5, rx=10))
    assert activity.held == {}
    assert activity.take() == {}


def test_what_is_told_of_a_client_fits_into_a_wake():
    started = Activity().feed(line("DownstreamStart", ip="x" * 999, h="h" * 999, p="p" * 9999, lp=99999))
    assert (len(started.source), len(started.host), len(started.path), started.port) == (64, 255, 255, None)


def test_use_on_both_sides_of_midnight_is_of_the_minute_that_it_was_in():
    activity = Activity()
    for at in (1767225599.999, 1767225600.0, 1767225599.5):  # the end of 2025, and a record that comes late
        activity.used("ru_1", at)
    assert set(activity.take()) == {("ru_1", "2025-12-31T23:59"), ("ru_1", "2026-01-01T00:00")}
