"""Raw lines of an Envoy of one's own with a balancer in front of it: whose connections count."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from chalicelib.domain.loglines import RawLine, parse_line
from chalicelib.usecases.ingest_activity import LogLine
from tests.unit.world import World, stamp

NLB, CLIENT = "10.0.1.7:4711", "203.0.113.7:4711"


class Envoy:
    """An Envoy that is not ours; what it logs is stored at once."""

    def __init__(self, *cidrs: str) -> None:
        self.world = World()
        balancer = self.world.stores.balancers.get("lb_1")
        self.world.stores.balancers.replace(balancer, replace(balancer, balancer_cidrs=cidrs))
        self.looks = 0
        get = self.world.stores.balancers.get

        def counted(id_):
            self.looks += 1
            return get(id_)

        self.world.stores.balancers.get = counted

    def log(self, type_: str, received: int = 0, sent: int = 0, stream: str = "lb_1/envoy", **more: object) -> bool:
        """Whether the line, of now, counts as use."""
        now = self.world.clock.now()
        line = {"rule": "ru_1", "start_time": stamp(now), "type": type_, "bytes_received": received, "bytes_sent": sent}
        before = self.totals()
        self.world.ingest.run([LogLine(f"{type_}-{received}-{sent}", stream, now, json.dumps(line | more))])
        facts = self.world.stores.activity.facts("ru_1")
        used = any(last.source == f"envoy {stream}" for last in facts.last)
        assert used or self.totals() == before
        return used

    def totals(self) -> object:
        now = self.world.clock.now()
        return self.world.stores.activity.history("ru_1", now.replace(minute=0), now.replace(minute=59))


@pytest.mark.parametrize("type_", ["TcpConnectionStart", "TcpUpstreamConnected", "TcpPeriodic", "TcpConnectionEnd"])
@pytest.mark.parametrize("client", [NLB, "10.0.1.7"])
def test_a_connection_of_the_balancer_that_carried_no_byte_of_a_client_is_no_use(type_, client):
    assert not Envoy("10.0.1.0/24").log(type_, sent=40, downstream_remote_address=client)


def test_with_a_byte_it_is_use_and_so_is_a_silent_client_from_elsewhere_and_a_request():
    assert Envoy("10.0.1.0/24").log("TcpPeriodic", received=1, downstream_remote_address=NLB)
    assert Envoy("10.0.1.0/24").log("TcpConnectionStart", downstream_remote_address=CLIENT)
    assert Envoy("10.0.1.0/24").log("DownstreamEnd", downstream_remote_address=NLB)


def test_what_cannot_be_told_counts():
    assert Envoy().log("TcpConnectionStart", downstream_remote_address=NLB)
    assert Envoy("10.0.1.0/24").log("TcpConnectionStart")
    assert Envoy("10.0.1.0/24").log("TcpConnectionStart", downstream_remote_address="nobody")
    assert Envoy("10.0.1.0/24").log("TcpConnectionStart", stream="lb_9/envoy", downstream_remote_address=NLB)


def test_the_load_balancer_is_looked_at_only_where_it_matters():
    envoy = Envoy("10.0.1.0/24")
    envoy.log("TcpPeriodic", received=1, downstream_remote_address=NLB)
    envoy.log("TcpConnectionStart")
    envoy.log("DownstreamEnd", downstream_remote_address=NLB)
    assert envoy.looks == 0
    envoy.log("TcpConnectionStart", downstream_remote_address=NLB)
    assert envoy.looks == 1


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("10.0.1.7:4711", "10.0.1.7"),
        ("10.0.1.7", "10.0.1.7"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        (7, None),
        ("x" * 65, None),
    ],
)
def test_the_client_of_a_line_is_its_address_without_the_port(said, client):
    at = "2026-11-22T21:40:00Z"
    line = {"rule": "ru_1", "start_time": at, "type": "TcpPeriodic", "bytes_received": 0, "bytes_sent": 0}
    raw = parse_line(json.dumps(line | {"downstream_remote_address": said}), "lb_1/x")
    assert isinstance(raw, RawLine)
    assert raw.client == client
