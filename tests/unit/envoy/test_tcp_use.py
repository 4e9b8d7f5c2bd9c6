"""What counts as use of a TCP connection that lasts: any byte, that it is open, or so many bytes a minute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.envoy.activity import Activity
from tests.unit.envoy.test_activity import T0, line

LEAST = 500
KEEP_ALIVE = 104
"""An SSH ServerAliveInterval of 60 s: a request and its answer, encrypted."""


def connected(least: int | None, **login: int) -> Activity:
    """A rule with one connection, spliced a second after it came."""
    activity = Activity(idle_bytes={} if least is None else {"ru_1": least})
    activity.feed(line("TcpConnectionStart"))
    activity.feed(line("TcpUpstreamConnected", at=T0 + 1, u=5, **login))
    return activity


def last_use(activity: Activity) -> float | None:
    return max((m.last_at for m in activity.take().values() if m.last_at is not None), default=None)


def played(activity: Activity, each: int, minutes: int, late: float = 0.0) -> None:
    """So many bytes in each minute."""
    for n in range(1, minutes + 1):
        activity.feed(line("TcpPeriodic", at=T0 + n * (60 + late), u=5, rx=each * n))


def test_by_default_a_keep_alive_is_use():
    activity = connected(None)
    played(activity, KEEP_ALIVE, 5)
    assert last_use(activity) == T0 + 300


def test_keep_alives_of_a_few_bytes_a_minute_are_no_use_where_the_rule_says_so():
    activity = connected(LEAST)
    played(activity, KEEP_ALIVE, 30)
    assert last_use(activity) is None


def test_bytes_that_are_no_use_are_counted_all_the_same():
    activity = connected(LEAST)
    played(activity, KEEP_ALIVE, 30)
    assert sum(minute.bytes_in for minute in activity.take().values()) == 30 * KEEP_ALIVE


@pytest.mark.parametrize("late", [-0.9, 0.0, 0.9, 29.0])
def test_a_person_who_types_is_use_however_late_the_records_come(late):
    activity = connected(LEAST)
    played(activity, LEAST + 60, 30, late)
    assert last_use(activity) == pytest.approx(T0 + 30 * (60 + late))


def test_a_login_is_use_at_once():
    assert last_use(connected(LEAST, rx=1500, tx=2500)) == T0 + 1


def test_the_last_bytes_of_a_connection_are_no_rate():
    activity = connected(LEAST)
    activity.feed(line("TcpPeriodic", at=T0 + 60, u=5, rx=50))
    activity.feed(line("TcpConnectionEnd", at=T0 + 60.1, u=5, rx=100))
    assert last_use(activity) is None


def test_records_that_come_more_often_than_once_a_minute_add_up_to_one():
    activity = connected(LEAST)
    for n in range(1, 200):
        activity.feed(line("TcpPeriodic", at=T0 + 5 * n, u=5, rx=10 * n))  # 120 bytes a minute
    assert last_use(activity) is None
    activity.feed(line("TcpPeriodic", at=T0 + 1000, u=5, rx=10_000))
    assert last_use(activity) == T0 + 1000


@given(st.lists(st.tuples(st.floats(0.5, 200), st.floats(0, 1)), min_size=1, max_size=40))
def test_what_moves_too_little_is_never_use_whenever_its_records_come(steps):
    activity = connected(LEAST)
    at, total = T0 + 1, 0.0
    for seconds, share in steps:
        at += seconds
        # Half the rate: a record that comes at half past is taken for a whole minute, here or there.
        total += share * LEAST / 2 * seconds / 60
        activity.feed(line("TcpPeriodic", at=at, u=5, rx=int(total)))
    assert last_use(activity) is None


def test_an_open_connection_is_use_where_the_rule_says_so_until_it_ends():
    activity = connected(0, rx=10, tx=10)
    for n in range(1, 6):
        activity.feed(line("TcpPeriodic", at=T0 + 60 * n, u=5, rx=10, tx=10))
    assert last_use(activity) == T0 + 300
    activity.feed(line("TcpConnectionEnd", at=T0 + 310, u=5, rx=10, tx=10))
    assert last_use(activity) == T0 + 310


def test_who_gave_up_while_held_was_no_use_even_where_an_open_connection_is():
    activity = connected(0)
    activity.feed(line("TcpConnectionEnd", at=T0 + 1, u=5))
    assert last_use(activity) is None
    activity.feed(line("TcpConnectionStart", "s2"))
    activity.feed(line("TcpPeriodic", "s2", at=T0 + 60, rx=100))
    assert last_use(activity) is None


def test_requests_are_use_whatever_the_rule_says_of_tcp():
    activity = Activity(idle_bytes={"ru_1": LEAST})
    activity.feed(line("DownstreamStart"))
    activity.feed(line("DownstreamEnd", at=T0 + 1, u=5, tx=5, cl="t-ru_1-80"))
    assert last_use(activity) == T0 + 1
