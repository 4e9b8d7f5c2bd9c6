"""What AutoStop makes of an Envoy of the user's own, which only writes lines (docs/how-to/bring-your-own-envoy.md)."""

from __future__ import annotations

import json
from datetime import timedelta

from chalicelib.domain.decisions import Reason
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import RuleState
from chalicelib.usecases.ingest_activity import LogLine
from chalicelib.usecases.proxy_config import ProxyReport, RuleHealth
from tests.unit.world import IDLE, World, stamp

EVERY = timedelta(seconds=30)


class OwnEnvoy:
    """Writes its heartbeat every 30 s, if it does, and a line for each use."""

    def __init__(self, world: World) -> None:
        self.world, self.beats = world, True
        self.count = 0

    def write(self, rule: str, type_: str = "DownstreamEnd") -> None:
        self.count += 1
        now = self.world.clock.now()
        line = {"rule": rule, "start_time": stamp(now), "type": type_, "bytes_received": 0, "bytes_sent": 0}
        self.world.ingest.run([LogLine(f"e{self.count}", "lb_1/i-proxy", now, json.dumps(line))])

    def report(self, config: str = "r0.s0", *, applied: bool = False) -> None:
        """What its owner's own script may send: that the target accepts, and with `applied` that it diverts."""
        now = self.world.clock.now()
        seen = (RuleHealth("ru_1", True, now),)
        self.world.config.report("lb_1", ProxyReport("i-proxy", config, now if applied else None, (), seen))

    def live(self, total: timedelta) -> None:
        end = self.world.clock.now() + total
        while self.world.clock.now() < end:
            if self.beats:
                self.write("autostop:heartbeat")
            self.world.pass_time(EVERY)


def running() -> tuple[World, OwnEnvoy]:
    """A rule that was warmed up, and told to accept, behind an Envoy without our agent."""
    world = World()
    world.agent.alive = False
    envoy = OwnEnvoy(world)
    envoy.live(timedelta(minutes=1))
    world.overrides.warm_up("ru_1", minutes=2, by="ak_1", reason=None)
    envoy.live(timedelta(minutes=2))
    envoy.report()
    envoy.live(timedelta(minutes=2))
    assert world.state is RuleState.UP
    return world, envoy


def test_lines_keep_a_rule_up_and_without_them_it_is_stopped_on_proof_of_the_time_after_the_stop_began():
    world, envoy = running()
    for _ in range(8):
        envoy.write("ru_1")
        envoy.live(timedelta(minutes=2))
        assert world.rule.status.reason is Reason.ACTIVE
    envoy.live(IDLE + timedelta(minutes=6))
    assert len(world.stops()) == 1
    assert world.instance.state is ResourceState.STOPPED


def test_a_use_after_the_stop_began_takes_it_back():
    world, envoy = running()
    while world.state is not RuleState.STOPPING:
        envoy.live(EVERY)
    envoy.write("ru_1")
    envoy.live(timedelta(minutes=2))
    assert (world.state, world.stops()) == (RuleState.UP, [])


def test_without_proof_of_the_time_after_the_stop_began_it_is_given_up():
    world, envoy = running()
    while world.state is not RuleState.STOPPING:
        envoy.live(EVERY)
    envoy.beats = False
    envoy.live(timedelta(minutes=5))
    assert world.stops() == []


def test_a_cool_down_is_carried_out():
    world, envoy = running()
    envoy.live(IDLE)
    world.overrides.cool_down("ru_1", minutes=60, force=True, propagate=False, by="ak_1", reason=None)
    envoy.live(timedelta(minutes=6))
    assert world.instance.state is ResourceState.STOPPED


def test_without_heartbeats_its_rules_are_blind_and_stay_up():
    world, envoy = running()
    envoy.beats = False
    for _ in range(3):
        envoy.write("ru_1")
        envoy.live(timedelta(minutes=1))
    envoy.live(IDLE * 3)
    assert world.rule.status.reason is Reason.BLIND
    assert "proxy i-proxy has proven nothing" in world.explain.run("ru_1").decision.detail
    assert world.stops() == []


def test_a_line_of_a_rule_that_is_down_wakes_nothing():
    world = World()
    world.agent.alive = False
    envoy = OwnEnvoy(world)
    envoy.live(timedelta(minutes=2))
    for _ in range(5):
        envoy.write("ru_1", "DownstreamStart")
        envoy.live(timedelta(minutes=1))
    assert world.starts() == []


def test_where_nobody_probes_a_start_is_up_by_the_status_checks_of_ec2():
    world = World()
    world.agent.alive = False
    envoy = OwnEnvoy(world)
    envoy.live(timedelta(minutes=1))
    world.overrides.warm_up("ru_1", minutes=30, by="ak_1", reason=None)
    envoy.live(timedelta(minutes=4))
    assert world.state is RuleState.UP
    assert world.instance.state is ResourceState.RUNNING


def test_whoever_diverts_by_a_script_and_says_so_is_stopped_when_idle():
    world, envoy = running()
    known = None
    for _ in range(40):
        answer = world.config.poll("lb_1", "i-proxy", known)
        if answer is not None:
            known = answer.etag
            envoy.report(known.strip('"'), applied=True)
        envoy.live(EVERY)
    assert world.stops()
    assert world.state is RuleState.DOWN
