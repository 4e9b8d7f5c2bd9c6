"""The agent as a whole: it ends as it was told to, and it ends when a part of it is broken."""

from __future__ import annotations

import asyncio
import json

import pytest

from chalicelib.agent.agent import Agent
from chalicelib.agent.clock import SystemClock
from tests.unit.envoy.fakes import FakeEnvoy, FakePlane, FakeSecrets, FakeSink, settings, shell


class NoTargets:
    """Nothing accepts."""

    async def look(self, rule):
        return False, None


class Bench:
    def __init__(self, tmp_path) -> None:
        self.settings = settings(tmp_path)
        self.settings.run_dir.mkdir()
        self.plane, self.sink = FakePlane(), FakeSink()
        self.plane.publish('"r1.s1"', [shell()])

    async def run(self) -> None:
        self.agent = Agent(self.settings, self.plane, NoTargets(), FakeEnvoy(), self.sink, FakeSecrets(), SystemClock())
        await asyncio.wait_for(self.agent.run(), 20)


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


def test_it_stops_with_a_last_heartbeat(bench):
    async def story():
        running = asyncio.ensure_future(bench.run())
        await bench.plane.reported.wait()
        beats = len(bench.sink.put_lines)
        bench.agent.stop()
        await running
        assert len(bench.sink.put_lines) > beats

    asyncio.run(story())
    assert json.loads(bench.sink.put_lines[-1][-1])["proxy"] == "lb_1"


def test_a_loop_that_dies_ends_it(bench):
    async def poll(etag):
        raise KeyError("a defect")

    bench.plane.poll = poll
    with pytest.raises(ExceptionGroup) as ended:
        asyncio.run(bench.run())
    assert ended.value.subgroup(KeyError)


def test_a_background_job_that_dies_ends_it(bench):
    async def look(self, rule):
        raise AttributeError("a defect")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NoTargets, "look", look)
        with pytest.raises(ExceptionGroup) as ended:
            asyncio.run(bench.run())
    assert ended.value.subgroup(AttributeError)
