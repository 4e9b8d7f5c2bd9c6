"""Heartbeats prove only what was seen, and say what was lost."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.agent.follower import Follower
from chalicelib.agent.heartbeats import MARGIN, Heartbeats, until_beat
from chalicelib.agent.spool import Spool
from chalicelib.agent.tailer import Tailer
from chalicelib.envoy.activity import Activity
from tests.unit.envoy.fakes import FakeEnvoy, FakeSink, HandClock, believe, settings, shell


class Bench:
    def __init__(self, tmp_path) -> None:
        self.clock, self.envoy, self.sink = HandClock(), FakeEnvoy(), FakeSink()
        self.spool = Spool(settings(tmp_path))
        beliefs = believe(self.clock, shell())
        tailer = Tailer(tmp_path / "access.log", self.spool.position)
        follower = Follower(tailer, Activity(), beliefs, self.envoy, self.clock, lambda *_: None, periodic=60)
        self.config = "r1.s1"
        self.heartbeats = Heartbeats(
            follower, self.spool, self.sink, self.envoy, self.clock, lambda: self.config, patience=30
        )

    def beat(self) -> dict:
        async def once():
            await self.heartbeats.beat()
            await self.heartbeats.ship()

        self.clock.pass_time(10)
        asyncio.run(once())
        return json.loads(self.spool.sequences[-1].lines[-1])


@pytest.fixture
def bench(tmp_path) -> Bench:
    bench = Bench(tmp_path)
    bench.beat()
    return bench


def test_a_heartbeat_names_the_configuration_that_envoy_diverts_by(bench):
    bench.config = "r1.s7"
    assert bench.beat()["config"] == "r1.s7"


def test_records_that_envoy_could_not_write_are_a_hole_once(bench):
    bench.envoy.lost = 3
    assert bench.beat()["hole"] is True
    assert "hole" not in bench.beat()


def test_an_envoy_that_is_gone_is_no_hole(bench):
    bench.envoy.gone = True
    assert "hole" not in bench.beat()


def test_what_did_not_arrive_is_sent_with_the_next(bench):
    bench.sink.away = True
    bench.beat()
    bench.sink.away = False
    sent = len(bench.sink.put_lines)
    bench.beat()
    assert len(bench.sink.put_lines) == sent + 2


def test_what_is_missed_is_sent_again_but_not_at_every_poll(bench):
    for _ in range(4):
        bench.beat()
    sent = len(bench.sink.put_lines)
    since = json.loads(bench.spool.sequences[1].lines[-1])["observed_through"]
    bench.heartbeats.send_again(since)
    bench.heartbeats.send_again(since)
    assert "hole" not in bench.beat()
    assert len(bench.sink.put_lines) == sent + 4
    bench.heartbeats.send_again(since)
    assert not bench.spool.unsent()


def test_what_is_missed_and_no_longer_here_is_a_hole(bench):
    for _ in range(3):
        bench.clock.pass_time(2000)
        bench.beat()
    bench.heartbeats.send_again("2026-01-05T08:00:00Z")
    assert bench.beat()["hole"] is True


@pytest.mark.parametrize("start", ["", "soon", "2026-01-01T00:00:00"])
def test_what_is_no_time_is_not_sent_from(bench, start):
    bench.heartbeats.send_again(start)
    assert "hole" not in bench.beat()


@given(st.floats(0, 1e6), st.sampled_from([1, 5, 60]))
def test_a_heartbeat_ends_on_a_whole_interval_and_none_comes_twice_because_a_timer_was_early(seconds, every):
    now = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(seconds=seconds)
    left = until_beat(now, every)
    assert every / 10 < left <= every * 1.1
    proven = (now + timedelta(seconds=left) - MARGIN).timestamp()
    assert min(proven % every, every - proven % every) < 1e-3
