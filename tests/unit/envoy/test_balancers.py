"""A balancer in front of the proxy: its own connections are nobody until they carry a byte."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.envoy.activity import Activity
from chalicelib.envoy.compact import CompactConfig, CompactError, CompactRule, Tcp, parse_balancers, within
from chalicelib.envoy.doors import doors
from chalicelib.envoy.listeners import BALANCER_PERIODIC, listeners
from tests.unit.envoy.fakes import HandClock, believe, shell
from tests.unit.envoy.test_activity import T0, line, only

NLB = "10.0.1.7"


def behind_one(**more) -> Activity:
    return Activity(balancers=[ip_network("10.0.1.0/24")], **more)


def test_a_check_that_says_nothing_is_nobody_however_long_it_stays_and_whatever_its_target_says():
    activity = behind_one(idle_bytes={"ru_1": 0})
    for n, (kind, u, tx) in enumerate(
        (
            ("TcpConnectionStart", 0, 0),
            ("TcpPeriodic", 0, 0),
            ("TcpUpstreamConnected", 5, 0),
            ("TcpPeriodic", 5, 900),
            ("TcpConnectionEnd", 5, 900),
        )
    ):
        assert activity.feed(line(kind, at=T0 + n, u=u, tx=tx, ip=NLB)) is None
    assert activity.take() == {}
    assert activity.held == {}
    assert activity.forget_silent(T0 + 1e6) == 0


def test_its_first_byte_makes_it_a_client_that_waits():
    activity = behind_one()
    activity.feed(line("TcpConnectionStart", ip=NLB))
    started = activity.feed(line("TcpPeriodic", at=T0 + 1, rx=1, ip=NLB, lp=20001))
    assert (started.rule, started.source, started.port, started.at) == ("ru_1", NLB, 20001, T0 + 1)
    assert set(activity.held) == {"s1"}
    assert activity.feed(line("TcpPeriodic", at=T0 + 2, rx=1, ip=NLB)) is None  # once: the reminder does the rest
    activity.feed(line("TcpUpstreamConnected", at=T0 + 3, rx=1, u=5, ip=NLB))
    activity.feed(line("TcpPeriodic", at=T0 + 4, rx=9, tx=20, u=5, ip=NLB))
    minute = only(activity)
    assert (minute.connections, minute.open, minute.bytes_in, minute.bytes_out) == (1, 1, 8, 20)
    assert activity.held == {}


def test_a_client_of_a_target_that_is_up_counts_whole_with_its_first_byte():
    activity = behind_one()
    activity.feed(line("TcpConnectionStart", ip=NLB))
    activity.feed(line("TcpUpstreamConnected", u=5, tx=40, ip=NLB))
    assert activity.feed(line("TcpPeriodic", at=T0 + 1, u=5, rx=7, tx=50, ip=NLB)) is None
    minute = only(activity)
    assert (minute.connections, minute.open, minute.bytes_in, minute.bytes_out) == (1, 1, 7, 50)
    assert minute.last_at == T0 + 1


def test_a_client_that_sent_something_and_gave_up_before_the_next_record_has_been_there():
    activity = behind_one()
    activity.feed(line("TcpConnectionStart", ip=NLB))
    started = activity.feed(line("TcpConnectionEnd", at=T0 + 0.4, rx=12, ip=NLB))
    assert started is not None
    assert activity.held == {}


def test_a_connection_that_began_before_us_wakes_when_it_waits_and_its_old_bytes_do_not_count():
    activity = behind_one()
    assert activity.feed(line("TcpPeriodic", rx=500, ip=NLB)) is not None
    assert activity.feed(line("TcpPeriodic", stream="s2", rx=500, tx=1, u=5, ip=NLB)) is None
    assert only(activity).bytes_in == 0


def test_whoever_comes_from_elsewhere_and_every_request_is_as_ever():
    activity = behind_one()
    assert activity.feed(line("TcpConnectionStart")) is not None
    assert activity.feed(line("DownstreamStart", stream="s2", ip=NLB)) is not None


def test_a_balancer_that_is_told_of_later_holds_from_the_next_record_on():
    clock = HandClock()
    beliefs = believe(clock, shell())
    activity = Activity(beliefs.ignored, beliefs.idle_bytes, beliefs.balancers)
    assert activity.feed(line("TcpConnectionStart", ip=NLB)) is not None
    beliefs.adopt(CompactConfig(beliefs.config.rules, balancers=(ip_network("10.0.1.0/24"),)), '"r2.s1"', clock.now())
    assert activity.feed(line("TcpConnectionStart", stream="s2", ip=NLB)) is None
    beliefs.adopt(CompactConfig(beliefs.config.rules), '"r3.s1"', clock.now())
    assert activity.feed(line("TcpConnectionStart", stream="s3", ip=NLB)) is not None


@pytest.mark.parametrize("wrong", ["10.0.0.0/8", ["10.0.0.1/8"], [None], 7, ["somewhere"]])
def test_networks_that_are_none_are_refused(wrong):
    with pytest.raises(CompactError):
        parse_balancers(wrong)


def chains(allow, *balancers) -> dict:
    rule = CompactRule("ru_2", ("10.0.0.6",), tcp=(Tcp(20001, 22, allow=allow),))
    (listener,) = listeners([rule], "127.0.0.1", Path("/x"), Path("/y"), balancers=[ip_network(b) for b in balancers])
    return {chain["name"]: chain for chain in listener["filter_chains"]}


def test_a_listener_tells_of_a_balancers_connections_every_second_and_of_others_as_ever():
    found = chains((), "10.0.1.0/24", "10.0.2.0/24")
    assert set(found) == {"ru_2", "ru_2-balancer"}
    assert "filter_chain_match" not in found["ru_2"]
    ranges = found["ru_2-balancer"]["filter_chain_match"]["source_prefix_ranges"]
    assert [r["address_prefix"] for r in ranges] == ["10.0.1.0", "10.0.2.0"]
    periods = {
        name: chain["filters"][0]["typed_config"]["access_log_options"]["access_log_flush_interval"]
        for name, chain in found.items()
    }
    assert periods == {"ru_2": "60s", "ru_2-balancer": BALANCER_PERIODIC}
    assert set(chains(())) == {"ru_2"}


networks = st.builds(
    lambda address, bits: ip_network((address, bits), strict=False),
    st.sampled_from(["10.0.0.0", "10.0.1.0", "10.0.1.7", "10.128.0.0", "192.168.0.0"]),
    st.sampled_from([8, 9, 16, 24, 32]),
) | st.sampled_from([ip_network("2001:db8::/32"), ip_network("2001:db8:1::/48")])


@given(st.lists(networks, max_size=4), st.lists(networks, max_size=4))
def test_who_may_come_in_is_the_same_with_a_balancer_and_no_prefix_is_in_two_chains(allow, balancers):
    found = doors(allow, balancers)
    assert not set(found.others or ()) & set(found.balancers)
    assert found.others is not None or not allow
    for text in ("10.0.0.1", "10.0.1.7", "10.0.1.9", "10.128.0.1", "192.168.0.9", "203.0.113.7", "2001:db8:1::9"):
        may = not allow or within(text, allow)
        best = {
            name: max((n.prefixlen for n in part if ip_address(text) in n), default=-1)
            for name, part in (("others", found.others or ()), ("balancers", found.balancers))
        }
        comes = found.others is None or max(best.values()) >= 0
        assert comes is may
        if may:  # by Envoy's longest prefix it comes by the balancer's chain exactly if it is the balancer's
            assert (best["balancers"] > best["others"]) is within(text, balancers)
