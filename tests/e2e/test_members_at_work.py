"""Two proxies, each a real Envoy and a real agent, are one: with the real use cases behind them."""

from __future__ import annotations

import http.client
import os
import signal
import time
from datetime import timedelta

import pytest

from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import RuleState
from tests.e2e.guests import Guest, echo
from tests.e2e.lived_plane import RULE, LivedPlane
from tests.e2e.proxy_world import World
from tests.e2e.test_proxy_members import health
from tests.e2e.tools import Loop, free_port, receive, until

pytestmark = pytest.mark.e2e

FIRST, SECOND = "i-0000000a", "i-0000000b"
IDLE = timedelta(seconds=4)


class Pair:
    """Two members and the rule's one guest, which is down."""

    def __init__(self, tmp_path) -> None:
        self.loop = Loop()
        self.first, self.second = (World(tmp_path / name, self.loop, name) for name in (FIRST, SECOND))
        address = f"{self.first.block}.11"
        self.guest = Guest(self.loop, address, free_port(address), echo)
        self.listen = free_port(self.first.address)
        self.plane = LivedPlane(self.loop, IDLE, self.guest.port, self.listen, address)
        self.plane.come()
        self.plane.come_logs()
        for member in (self.first, self.second):
            self.plane.join(member.member)
            member.shared = self.plane
            member.home.mkdir()

    def set_up(self) -> None:
        for member in (self.first, self.second):
            member.set_up()
        self.plane.follow(self.guest)

    def end(self) -> None:
        self.plane.end_life()
        for member in (self.first, self.second):
            if hasattr(member, "processes"):
                member.end()
        self.guest.stop()
        self.plane.go()
        self.plane.go_logs()
        self.loop.end()

    @property
    def state(self) -> RuleState:
        return self.plane.read(lambda cases: cases.state)

    @property
    def instance(self) -> ResourceState:
        return self.plane.read(lambda cases: cases.instance.state)

    def stops(self) -> int:
        return self.plane.read(lambda cases: len(cases.stops()))

    def talk(self, member: World) -> None:
        with member.connect(self.listen) as client:
            client.sendall(b"hello")
            assert receive(client, 5) == b"hello"


@pytest.fixture
def pair(tmp_path):
    pair = Pair(tmp_path)
    try:
        pair.set_up()
        yield pair
    finally:
        pair.end()


def test_two_members_wake_serve_and_drain_as_one_and_only_ec2_says_that_one_is_dead(pair):
    # Both have the same port, and a connection through either wakes.
    pair.talk(pair.second)
    assert {cause["kind"] for id_, cause in pair.plane.wakes if id_ == RULE} <= {"tcp", "held"}
    until(lambda: pair.state is RuleState.UP, 15)
    pair.talk(pair.first)

    # A stop waits until both hold new connections: each has told it before AWS was asked.
    until(lambda: pair.stops() == 1, 30, "a stop")
    assert pair.plane.diverted_at_stop == [{FIRST, SECOND}]
    until(lambda: pair.state is RuleState.DOWN, 15)

    # A member that falls silent: the rule is up for as long as it may carry somebody.
    pair.talk(pair.first)
    until(lambda: pair.state is RuleState.UP, 15)
    agent = pair.second.processes.running["agent"].pid
    os.kill(agent, signal.SIGSTOP)
    try:
        time.sleep(IDLE.total_seconds() + 4)
        assert pair.stops() == 1
        assert pair.instance is ResourceState.RUNNING
        pair.talk(pair.first)
        pair.plane.terminate(SECOND)
        until(lambda: pair.stops() == 2, 40, "a stop once EC2 says that it is gone")
    finally:
        os.kill(agent, signal.SIGCONT)


def test_a_member_whose_envoy_died_is_taken_out_of_the_balancer_and_the_other_is_not(pair):
    assert health(pair.first.address, pair.first.health_port) == (200, "ok")
    envoy = pair.second.processes.running.pop("envoy")
    envoy.kill()
    envoy.wait()
    until(lambda: health(pair.second.address, pair.second.health_port) == (503, "Envoy does not answer"))
    assert health(pair.first.address, pair.first.health_port) == (200, "ok")
    agent = pair.second.processes.running.pop("agent")
    agent.kill()
    agent.wait()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        health(pair.second.address, pair.second.health_port)
