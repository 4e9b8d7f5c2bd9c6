"""An agent that is killed at any moment: the next one goes on, and what is stored in the end is exact."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from chalicelib.agent.follower import Follower
from chalicelib.agent.heartbeats import Heartbeats
from chalicelib.agent.spool import Spool
from chalicelib.agent.tailer import Tailer
from chalicelib.envoy.activity import Activity
from tests.unit.envoy.fakes import FakeEnvoy, FakeSink, HandClock, believe, settings, shell, site


class Store:
    """The totals as the control plane keeps them: of each rule and minute the largest of what ever arrived."""

    def __init__(self, sink: FakeSink) -> None:
        self.lines = [json.loads(line) for lines in sink.put_lines for line in lines]

    def total(self, rule: str, what: str) -> int:
        found: dict[str, int] = {}
        for line in self.lines:
            if line.get("rule") == rule:
                found[line["minute"]] = max(found.get(line["minute"], 0), line[what])
        return sum(found.values())

    @property
    def holes(self) -> int:
        return sum(line.get("hole", False) for line in self.lines)


class Bench:
    """What survives a kill: the log, the spool, the clock, what arrived."""

    def __init__(self, tmp_path) -> None:
        self.settings = settings(tmp_path)
        self.clock, self.sink = HandClock(), FakeSink()
        self.log = tmp_path / "access.log"
        self.beliefs = believe(self.clock, site("ru_1"), shell("ru_2"))
        self.start()

    def start(self) -> None:
        spool, self.activity = Spool(self.settings), Activity()
        self.activity.restore(spool.minutes(), spool.streams)
        tailer, envoy = Tailer(self.log, spool.position), FakeEnvoy()
        self.follower = Follower(tailer, self.activity, self.beliefs, envoy, self.clock, lambda *_: None, 60)
        self.heartbeats = Heartbeats(self.follower, spool, self.sink, envoy, self.clock, lambda: "r1.s1", 30)

    def write(self, kind: str, rule: str, stream: str, **more) -> None:
        at = f"{self.clock.now().timestamp():.3f}"
        record = {"ty": kind, "r": rule, "id": stream, "t": at, "u": 5, "ip": "203.0.113.7", "lp": 80} | more
        with self.log.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def request(self, stream: str, size: int) -> None:
        self.write("DownstreamStart", "ru_1", stream, u=0)
        self.write("DownstreamEnd", "ru_1", stream, rx=size)

    def run(self, *steps: str) -> None:
        async def story():
            for step in steps:
                await (self.follower.follow() if step == "follow" else getattr(self.heartbeats, step)())

        asyncio.run(story())


@pytest.fixture
def bench(tmp_path) -> Bench:
    bench = Bench(tmp_path)
    bench.run("beat", "ship")
    return bench


def test_what_was_counted_before_a_kill_and_after_it_in_the_same_minute_adds_up(bench):
    for stream in ("s1", "s2"):
        bench.request(stream, 100)
    bench.run("beat", "ship")
    bench.start()
    bench.request("s3", 100)
    bench.run("beat", "ship")
    store = Store(bench.sink)
    assert (store.total("ru_1", "requests"), store.total("ru_1", "bytes_in")) == (3, 300)
    assert store.holes == 1  # the very first heartbeat


def test_a_connection_that_outlives_the_agent_is_counted_once_and_none_of_its_bytes_is_lost(bench):
    bench.write("TcpConnectionStart", "ru_2", "s1", u=0)
    bench.write("TcpUpstreamConnected", "ru_2", "s1", rx=10)
    bench.run("beat", "ship")
    bench.start()
    bench.clock.pass_time(60)
    bench.write("TcpPeriodic", "ru_2", "s1", rx=400, tx=7)
    bench.run("beat", "ship")
    store = Store(bench.sink)
    assert [store.total("ru_2", what) for what in ("connections", "bytes_in", "bytes_out")] == [1, 400, 7]
    assert [line["open"] for line in store.lines if line.get("rule") == "ru_2"][-1] == 1


@pytest.mark.parametrize("seed", range(25))
def test_wherever_it_is_killed_each_request_and_byte_is_stored_once_and_no_hole_is_told(bench, seed):
    drawn, sent, moved = random.Random(seed), 0, 0
    bench.write("TcpConnectionStart", "ru_2", "long", u=0)
    bench.write("TcpUpstreamConnected", "ru_2", "long")
    for _ in range(40):
        for _request in range(drawn.randint(0, 5)):
            bench.request(f"s{sent}", 10)
            sent += 1
        moved += drawn.randint(0, 100)
        bench.write("TcpPeriodic", "ru_2", "long", rx=moved)
        bench.clock.pass_time(drawn.choice([0.5, 7.0, 30.0]))
        bench.sink.away = drawn.random() < 0.3
        steps = ["follow", "beat", "ship"][: drawn.randint(0, 3)]
        bench.run(*steps)
        if drawn.random() < 0.5:
            bench.start()  # nobody told the one before that it ends
    bench.sink.away = False
    bench.run("beat", "ship")
    store = Store(bench.sink)
    assert (store.total("ru_1", "requests"), store.total("ru_1", "bytes_in")) == (sent, 10 * sent)
    assert (store.total("ru_2", "connections"), store.total("ru_2", "bytes_in")) == (1, moved)
    assert store.holes == 1


def test_what_a_connection_did_in_the_last_minute_of_a_killed_envoy_counts_as_use(bench):
    bench.write("TcpConnectionStart", "ru_2", "s1", u=0)
    bench.write("TcpUpstreamConnected", "ru_2", "s1", rx=10)
    bench.run("follow")
    used = bench.clock.now().timestamp()

    async def silence():
        for _ in range(400):
            bench.clock.pass_time(0.5)
            await bench.follower.remind()

    asyncio.run(silence())
    assert max(minute.last_at or 0 for minute in bench.activity.minutes.values()) == used + 60
