"""Rules that no load balancer carries are stopped by what flow logs and CloudWatch tell, and only by that."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.domain.decisions import Reason
from chalicelib.domain.errors import CloudError
from chalicelib.domain.flow_logs import VERSION_2, FlowFormat, Interface, Least
from chalicelib.domain.flow_proof import LAG
from chalicelib.domain.guards import GuardMetric
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.routes import Ignore
from chalicelib.domain.rules import RuleState
from chalicelib.domain.sources import SourceKind, SourceSpec
from chalicelib.ports import Series
from chalicelib.usecases.ingest_flows import IngestFlows
from tests.unit.world import FLOW_WINDOW, World

MINUTE = timedelta(minutes=1)
IDLE = 20 * MINUTE
FLOWS = SourceSpec(SourceKind.FLOW_LOGS, ports=(22,))
CPU = SourceSpec(SourceKind.CPU, above=5)
ADDRESS = "10.0.0.5"


class DirectWorld(World):
    """One rule whose instance people reach by its own address; its VPC has a flow log that tells of each minute."""

    def __init__(self, *sources, **spec):
        settings = {"load_balancer_id": None, "http": (), "tcp": (), "idle": IDLE, "sources": sources or (FLOWS,)}
        super().__init__(None, **(settings | spec))
        self.layout = FlowFormat.of(VERSION_2)
        s = self.stores
        self.ingest_flows = IngestFlows(s.activity, s.flows, self.clock, self.layout, FLOW_WINDOW, Least())
        self.sent = 0
        self.silent = False
        self.coming: list[str] = []
        self.up()

    @property
    def eni(self):
        return f"eni-{self.ref.id}"

    def up(self):
        self.cloud.start([self.ref])
        self.live(3 * MINUTE)

    def connect(self, source="192.0.2.1", port=22, packets=20):
        """Somebody works on it in the minute that begins now."""
        start = int(self.clock.now().timestamp())
        self.coming.append(
            f"2 1 {self.eni} {source} {ADDRESS} 40000 {port} 6 {packets} 900 {start} {start + 50} ACCEPT OK"
        )

    def live(self, duration):
        """Minutes go by; what happened in each is told two minutes later, if the instance runs and nobody is silent."""
        for _ in range(int(duration / MINUTE)):
            start = int(self.clock.now().timestamp())
            runs = self.instance.state is ResourceState.RUNNING
            lines = self.coming or [f"2 1 {self.eni} - - - - - - - {start} {start + 60} - NODATA"]
            self.coming = []
            if runs and not self.silent:
                self.clock.at(self.clock.now() + 3 * MINUTE, lambda lines=lines: self.deliver(lines))
            self.pass_time(MINUTE)

    def deliver(self, lines):
        self.sent += 1
        events = [{"id": f"e{self.sent}-{n}", "timestamp": 0, "message": line} for n, line in enumerate(lines)]
        return self.ingest_flows.run(f"{self.eni}-all", events)

    def order(self):
        """Somebody has it started."""
        self.overrides.warm_up("ru_1", minutes=30, by="ak_1", reason=None)


def test_nobody_at_its_ports_for_the_idle_time_stops_it():
    world = DirectWorld()
    world.live(IDLE + LAG + 10 * MINUTE)
    assert world.state is RuleState.DOWN
    assert len(world.stops()) == 1


def test_whoever_works_on_it_keeps_it_up_and_is_told_as_its_activity():
    world = DirectWorld()
    for _ in range(6):
        world.connect()
        used = world.clock.now()
        world.live(10 * MINUTE)
    assert world.state is RuleState.UP
    assert world.stops() == []
    last = {last.source: last.at for last in world.stores.activity.facts("ru_1").last}
    assert last[f"flow log {world.eni}"] == used + timedelta(seconds=50)
    (total,) = world.stores.activity.history("ru_1", used - 5 * MINUTE, used + 5 * MINUTE)
    assert (total.connections, total.bytes_in) == (1, 900)


@pytest.mark.parametrize(
    "visit", [{"port": 443}, {"source": "10.9.0.7"}, {"packets": 2}], ids=["port", "ignored", "scan"]
)
def test_what_is_no_use_keeps_nothing_up(visit):
    world = DirectWorld(ignore=Ignore(cidrs=("10.9.0.0/16",)))
    for _ in range(60):
        world.connect(**visit)
        world.live(MINUTE)
    assert world.state is RuleState.DOWN


def test_a_flow_log_that_falls_silent_is_blindness_and_stops_nothing():
    world = DirectWorld()
    world.silent = True
    world.live(3 * IDLE)
    assert world.stops() == []
    assert world.rule.status.reason is Reason.BLIND
    assert f"flow log {world.eni} has proven nothing" in (world.rule.status.detail or "")


def test_records_that_aws_skipped_make_it_wait_for_a_whole_idle_time_after_them():
    world = DirectWorld()
    world.live(15 * MINUTE)
    start = int(world.clock.now().timestamp())
    world.coming = [f"2 1 {world.eni} - - - - - - - {start} {start + 60} - SKIPDATA"]
    skipped = world.clock.now()
    world.live(2 * IDLE + LAG + 10 * MINUTE)
    (stop,) = world.stops()
    assert stop >= skipped + IDLE + LAG


def test_after_a_start_the_time_when_it_was_down_proves_nothing_and_blinds_nobody():
    world = DirectWorld()
    world.live(IDLE + LAG + 10 * MINUTE)
    assert world.state is RuleState.DOWN
    world.live(3 * 60 * MINUTE)
    world.order()
    world.live(5 * MINUTE)
    assert world.state is RuleState.UP
    started = world.clock.now()
    world.live(2 * 60 * MINUTE)
    assert world.state is RuleState.DOWN
    assert world.stops()[-1] >= started + IDLE


def test_a_second_interface_has_to_be_quiet_as_well():
    world = DirectWorld()
    other = Interface("eni-second", ("10.0.1.5",))
    world.interfaces.found[world.ref] = (Interface(world.eni, (ADDRESS,)), other)
    world.live(3 * IDLE)
    assert world.stops() == []
    assert world.rule.status.reason is Reason.BLIND


def test_interfaces_are_looked_up_once_in_five_minutes_and_said_once():
    world = DirectWorld()
    before = world.interfaces.calls
    world.live(10 * MINUTE)
    assert world.interfaces.calls - before <= 3
    (watch,) = world.stores.flows.watches()
    assert (watch.rule_id, watch.ports, watch.interfaces[0].id) == ("ru_1", (22,), world.eni)


def test_interfaces_that_cannot_be_looked_up_leave_it_up():
    world = DirectWorld()

    def refused(place, refs):
        raise CloudError("UnauthorizedOperation", "no")

    world.interfaces.of_instances = refused
    world.cloud.instances[world.ref].state = ResourceState.RUNNING
    world.live(3 * IDLE)
    # What was looked up before still holds, so that it is stopped on proof as always.
    assert world.state is RuleState.DOWN
    fresh = DirectWorld.__new__(DirectWorld)
    World.__init__(fresh, None, load_balancer_id=None, http=(), tcp=(), idle=IDLE, sources=(FLOWS,))
    fresh.interfaces.of_instances = refused
    fresh.cloud.start([fresh.ref])
    fresh.pass_time(3 * IDLE)
    assert fresh.stops() == []


def test_a_quiet_processor_stops_it_and_a_busy_one_does_not():
    world = DirectWorld(CPU)
    series = Series(world.ref, GuardMetric.CPU)
    world.metrics.put(series, 40)
    world.live(3 * IDLE)
    assert world.stops() == []
    (last,) = [one for one in world.stores.activity.facts("ru_1").last if one.source.startswith("cloudwatch")]
    assert last.source == f"cloudwatch CPUUtilization of {world.ref.id}"
    assert world.clock.now() - last.at < 15 * MINUTE
    world.metrics.put(series, 3)
    world.live(3 * IDLE)
    assert world.state is RuleState.DOWN


def test_a_point_that_is_missing_is_ignorance_and_never_zero():
    world = DirectWorld(CPU)
    world.metrics.put(Series(world.ref, GuardMetric.CPU), None)
    world.live(4 * IDLE)
    assert world.stops() == []
    assert world.rule.status.reason is Reason.BLIND


def test_every_source_has_to_be_quiet():
    world = DirectWorld(CPU, FLOWS)
    world.metrics.put(Series(world.ref, GuardMetric.CPU), 1)
    world.silent = True
    world.live(3 * IDLE)
    assert world.stops() == []
    world.silent = False
    world.live(3 * IDLE + LAG)
    assert world.state is RuleState.DOWN


def test_a_batch_that_comes_twice_counts_once_and_writes_nothing_new():
    world = DirectWorld()
    world.live(MINUTE)
    world.connect()
    lines = world.coming
    for _ in range(2):
        world.sent = 100
        world.deliver(lines)
    now = world.clock.now()
    (total,) = world.stores.activity.history("ru_1", now - 5 * MINUTE, now + 5 * MINUTE)
    assert total.connections == 1
