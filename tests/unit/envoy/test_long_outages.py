"""Minutes without AWS, and clocks that are wrong: nothing is lost, and nothing looks idle that is used."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from chalicelib.agent.follower import Follower
from chalicelib.agent.heartbeats import Heartbeats
from chalicelib.agent.spool import MOST_BYTES, Spool
from chalicelib.agent.tailer import Tailer
from chalicelib.domain.activity import Proof, Source, advance, clamp
from chalicelib.domain.loglines import HeartbeatLine, SummaryLine, parse_line
from chalicelib.envoy.activity import Activity
from tests.unit.envoy.fakes import FakeEnvoy, FakeSink, HandClock, believe, settings, shell, site

MINUTE = 60.0
SILENCE = timedelta(minutes=3)


class ThrottledSink(FakeSink):
    """CloudWatch Logs that takes so many calls in all, and refuses lines of a time far from its own clock."""

    def __init__(self, true: HandClock) -> None:
        super().__init__()
        self.true, self.calls, self.left = true, 0, 0

    def put(self, lines: list[str], at: datetime) -> None:
        self.calls += 1
        if self.left <= 0:
            raise OSError("ThrottlingException: Rate exceeded")
        # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
        if at > self.true.now() + timedelta(hours=2):
            raise OSError("tooNewLogEventStartIndex")
        self.left -= 1
        super().put(lines, at)


class Receiver:
    """The control plane's own understanding of what arrived: domain code, with the true time."""

    def __init__(self) -> None:
        self.proof = Proof()
        self.last: datetime | None = None
        self.beats: list[HeartbeatLine] = []

    def take(self, sink: FakeSink, now: datetime) -> None:
        for line in (parse_line(text, "lb_1/i-1") for lines in sink.put_lines for text in lines):
            if isinstance(line, SummaryLine) and line.last_at is not None:
                self.last = max(self.last or clamp(line.last_at, now), clamp(line.last_at, now))
            elif isinstance(line, HeartbeatLine):
                self.beats.append(line)
                self.proof = advance(self.proof, line.beat, now).proof
        sink.put_lines.clear()

    def looks_idle(self, now: datetime, idle: timedelta) -> bool:
        """Whether its one source has proved silence for so long."""
        source = Source("proxy i-1", self.proof.span, SILENCE)
        if self.proof.span is None or source.is_silent(now):
            return False
        return self.proof.span.end - max(self.last or self.proof.span.start, self.proof.span.start) >= idle


class Bench:
    """An agent whose clock may be wrong, and a world whose clock is right."""

    def __init__(self, tmp_path) -> None:
        self.settings, self.clock, self.true = settings(tmp_path), HandClock(), HandClock()
        self.log, self.envoy, self.sink = tmp_path / "access.log", FakeEnvoy(), ThrottledSink(self.true)
        self.spool, self.activity, self.receiver = Spool(self.settings), Activity(), Receiver()
        beliefs = believe(self.clock, site("ru_1"), shell("ru_2"))
        follower = Follower(Tailer(self.log), self.activity, beliefs, self.envoy, self.clock, lambda *_: None, 60)
        self.heartbeats = Heartbeats(follower, self.spool, self.sink, self.envoy, self.clock, lambda: "r1.s1", 30)
        self.sent = 0

    def use(self) -> None:
        at = f"{self.clock.now().timestamp():.3f}"
        for kind, u in (("DownstreamStart", 0), ("DownstreamEnd", 5)):
            record = {"ty": kind, "r": "ru_1", "id": f"s{self.sent}", "t": at, "u": u, "rx": 10, "lp": 80}
            with self.log.open("a") as file:
                file.write(json.dumps(record) + "\n")
        self.sent += 1

    def minute(self, *, used: bool = True) -> None:
        if used:
            self.use()
        self.clock.pass_time(MINUTE)
        self.true.pass_time(MINUTE)
        asyncio.run(self._turn())
        self.receiver.take(self.sink, self.true.now())

    async def _turn(self) -> None:
        await self.heartbeats.beat()
        await self.heartbeats.ship()


@pytest.fixture
def bench(tmp_path) -> Bench:
    bench = Bench(tmp_path)
    bench.sink.left = 10_000
    bench.minute(used=False)
    return bench


def test_ten_minutes_without_any_aws_are_proved_without_a_gap_as_soon_as_it_is_back(bench):
    bench.sink.left = 0
    for _ in range(10):
        bench.minute()
        assert not bench.receiver.looks_idle(bench.true.now(), timedelta(minutes=5))
    assert len(bench.receiver.beats) == 1
    bench.sink.left = 10_000
    bench.minute()
    assert len(bench.receiver.beats) == 12
    for one, next_ in pairwise(line.beat for line in bench.receiver.beats):
        assert next_.observed_from == one.observed_through
        assert not next_.hole
    assert bench.receiver.proof.missing_from is None


def test_throttled_for_longer_than_an_hour_nothing_is_lost_and_nobody_is_called_more_often_than_once_a_beat(bench):
    bench.sink.left, before = 0, bench.sink.calls
    for _ in range(90):
        bench.minute()
    assert bench.sink.calls - before == 90
    assert len(bench.receiver.beats) == 1, "what is not shipped is not claimed"
    assert sum(sequence.size for sequence in bench.spool.sequences) < MOST_BYTES
    for _ in range(20):
        bench.sink.left = 7  # it recovers by and by
        bench.minute()
    assert len(bench.receiver.beats) == 111
    assert [line.beat.seq for line in bench.receiver.beats] == sorted({line.beat.seq for line in bench.receiver.beats})
    assert bench.receiver.proof.missing_from is None
    assert sum(minute.requests for minute in bench.activity.minutes.values()) == bench.sent


@pytest.mark.parametrize("hours", [-1, 1, 3])
@pytest.mark.parametrize("wrong_from_the_start", [True, False])
def test_with_a_clock_that_is_wrong_by_hours_what_is_used_never_looks_idle_and_all_is_well_once_it_is_right(
    tmp_path, hours, wrong_from_the_start
):
    bench = Bench(tmp_path)
    bench.sink.left = 10_000
    if not wrong_from_the_start:
        for _ in range(3):
            bench.minute()
    bench.clock.set(hours * 3600)
    for _ in range(20):
        bench.minute()
        assert not bench.receiver.looks_idle(bench.true.now(), timedelta(minutes=5))
    bench.clock.set(-hours * 3600)
    for _ in range(20):
        bench.minute()
        assert not bench.receiver.looks_idle(bench.true.now(), timedelta(minutes=5))
    assert not bench.spool.unsent()
    for _ in range(10):
        bench.minute(used=False)
    # It is watched again, and only now, with evidence, is it idle.
    assert bench.receiver.looks_idle(bench.true.now(), timedelta(minutes=5))
