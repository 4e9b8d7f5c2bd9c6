"""Who is woken for, and who is not: starts, held clients, drains, ignored clients, stale records."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from chalicelib.agent import follower as followers
from chalicelib.agent.follower import Follower
from chalicelib.agent.tailer import Tailer
from chalicelib.agent.waker import Waker
from chalicelib.envoy.activity import Activity
from tests.unit.envoy.fakes import START, FakeEnvoy, FakePlane, HandClock, believe, drain, shell, site


class Bench:
    """A log that the test writes, and a control plane that is asked."""

    def __init__(self, tmp_path, *states) -> None:
        self.clock, self.plane, self.envoy = HandClock(), FakePlane(), FakeEnvoy()
        self.log = tmp_path / "access.log"
        rules = site("ru_1"), shell("ru_2"), shell("ru_3", 20003, ignore={"cidrs": ["10.9.0.0/16"]})
        self.beliefs = believe(self.clock, *rules, states=states)
        self.activity = Activity(self.beliefs.ignored)
        self.answered: list[str] = []
        self.polls = 0
        self.jobs = []
        waker = Waker(self.plane, self.beliefs, self.clock, self.jobs.append, self.answered.append, self._poll_soon)
        self.waker = waker
        self.follower = Follower(
            Tailer(self.log), self.activity, self.beliefs, self.envoy, self.clock, waker.wake, periodic=60
        )

    def _poll_soon(self) -> None:
        self.polls += 1

    def write(self, kind: str, rule: str, stream: str = "s1", u: int = 0, **more) -> None:
        at = f"{self.clock.now().timestamp():.3f}"
        record = {"ty": kind, "r": rule, "id": stream, "t": at, "u": u, "ip": "203.0.113.7", "lp": 80} | more
        with self.log.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def turn(self, seconds: float = 0.5) -> None:
        async def once():
            await self.follower.follow()
            await self.follower.remind()
            jobs, self.jobs[:] = list(self.jobs), []
            for job in jobs:
                await job

        asyncio.run(once())
        self.clock.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds / 0.5)):
            self.turn()

    @property
    def woken(self) -> list[str]:
        return [rule for rule, _ in self.plane.woken]


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


def test_a_request_for_what_is_not_known_to_be_up_wakes_with_its_cause(bench):
    bench.write("DownstreamStart", "ru_1", h="a.example.com", p="/x")
    bench.turn()
    cause = {"kind": "http", "source": "203.0.113.7", "port": 80, "host": "a.example.com", "path": "/x"}
    assert bench.plane.woken == [("ru_1", cause)]
    assert bench.polls == 1


def test_what_is_up_is_not_woken_but_its_use_begins_with_the_request(bench):
    bench.beliefs.of["ru_1"].accepts = True
    bench.write("DownstreamStart", "ru_1")
    bench.turn()
    assert bench.woken == []
    (minute,) = bench.activity.take().values()
    assert minute.last_at == START.timestamp()


def test_a_held_request_wakes_again_every_two_seconds_until_it_is_answered(bench):
    bench.plane.away = True
    bench.write("DownstreamStart", "ru_1")
    bench.pass_time(7)
    assert bench.woken == ["ru_1"] * 4
    bench.write("DownstreamEnd", "ru_1", u=5, tx=100)
    bench.pass_time(10)
    assert len(bench.woken) == 4


def test_a_request_that_a_target_takes_long_to_answer_does_not_wake_what_is_up(bench):
    bench.beliefs.of["ru_1"].accepts = True
    bench.write("DownstreamStart", "ru_1")
    bench.pass_time(10)
    assert bench.woken == []
    # but it is a reason to look whether it really is up
    assert bench.beliefs.of["ru_1"].probe_at <= 2


def test_a_held_connection_wakes_whatever_we_believe(bench):
    bench.beliefs.of["ru_2"].accepts = True
    bench.write("TcpConnectionStart", "ru_2")
    bench.pass_time(5)
    assert bench.woken == ["ru_2"] * 2
    assert bench.plane.woken[0][1]["kind"] == "held"


def test_a_connection_that_was_spliced_or_has_ended_is_not_held(bench):
    bench.beliefs.of["ru_2"].accepts = True
    bench.write("TcpConnectionStart", "ru_2", "s1")
    bench.write("TcpUpstreamConnected", "ru_2", "s1", u=7)
    bench.write("TcpConnectionStart", "ru_2", "s2")
    bench.write("TcpConnectionEnd", "ru_2", "s2")
    bench.pass_time(10)
    assert bench.woken == []


def test_a_connection_held_since_before_we_were_started_is_found_by_its_periodic_record(bench):
    bench.write("TcpPeriodic", "ru_2")
    bench.pass_time(3)
    assert bench.woken


def test_clients_that_died_with_a_killed_envoy_do_not_wake_for_ever(bench):
    bench.write("TcpConnectionStart", "ru_2")
    bench.pass_time(3 * 60 + 20)
    woken = len(bench.woken)
    bench.pass_time(60)
    assert len(bench.woken) == woken
    assert bench.activity.held == {}


def test_a_drained_rule_is_woken_though_it_accepts(tmp_path):
    bench = Bench(tmp_path, drain("ru_1", START + timedelta(seconds=30)))
    bench.beliefs.of["ru_1"].accepts = True
    bench.write("DownstreamStart", "ru_1")
    bench.turn()
    assert bench.woken == ["ru_1"]


def test_what_may_not_start_is_not_asked_for(tmp_path):
    bench = Bench(tmp_path, {"rule": "ru_1", "startable": False})
    bench.write("DownstreamStart", "ru_1")
    bench.pass_time(5)
    assert bench.woken == []


def test_ignored_clients_neither_wake_nor_count_nor_are_held(bench):
    for ip in ("10.9.1.2", "10.9.255.255"):
        bench.write("TcpConnectionStart", "ru_3", ip, ip=ip)
    bench.pass_time(5)
    assert bench.woken == []
    bench.write("TcpConnectionEnd", "ru_3", "10.9.1.2", u=5, rx=10, ip="10.9.1.2")
    bench.turn()
    assert bench.activity.take() == {}
    bench.write("TcpConnectionStart", "ru_3", "s9", ip="10.10.0.1")
    bench.turn()
    assert bench.woken == ["ru_3"]


def test_old_start_records_wake_nobody_but_who_still_waits_does(bench):
    bench.write("DownstreamStart", "ru_1")
    bench.write("DownstreamEnd", "ru_1", u=5, cl="warm-up")
    bench.write("TcpConnectionStart", "ru_2", "s2")
    bench.clock.pass_time(60)
    bench.turn()
    assert bench.woken == ["ru_2"]
    assert bench.plane.woken[0][1]["kind"] == "held"


def test_only_the_first_answer_of_a_wait_makes_the_next_verdict_news(bench):
    bench.write("TcpConnectionStart", "ru_2")
    bench.pass_time(9)
    assert len(bench.woken) > 3
    assert bench.answered == ["ru_2"]


def test_an_answer_that_says_it_may_not_start_makes_us_poll(bench):
    bench.plane.answer = {"startable": False, "phase": "down"}
    bench.write("DownstreamStart", "ru_1")
    bench.turn()
    assert bench.polls == 2


def test_a_large_log_is_rotated_and_nothing_of_it_is_lost(bench, monkeypatch):
    bench.write("DownstreamStart", "ru_1", "s1")
    asyncio.run(bench.follower.checkpoint())
    monkeypatch.setattr(followers, "LARGEST_LOG", 100)
    bench.turn()
    assert bench.envoy.reopened == 1
    assert not bench.log.exists()
    # Envoy still has the old file open when a last record comes, then it makes the new one.
    old = bench.log.with_name("access.log.old")
    bench.log, new = old, bench.log
    bench.write("TcpConnectionStart", "ru_2", "s2")
    bench.log = new
    bench.write("TcpConnectionStart", "ru_3", "s3")
    bench.turn()
    assert bench.woken == ["ru_1", "ru_2", "ru_3"]


def test_an_envoy_that_does_not_answer_leaves_the_log_growing_and_is_asked_again(bench, monkeypatch):
    bench.envoy.gone = True
    bench.write("DownstreamStart", "ru_1", "s1")
    asyncio.run(bench.follower.checkpoint())
    monkeypatch.setattr(followers, "LARGEST_LOG", 100)
    bench.turn()
    bench.envoy.gone = False
    bench.pass_time(3)
    assert bench.envoy.reopened


def test_a_log_is_not_rotated_over_one_of_which_no_checkpoint_tells_but_a_heartbeat_is_asked_for(bench, monkeypatch):
    monkeypatch.setattr(followers, "LARGEST_LOG", 100)
    for number in range(3):
        bench.write("DownstreamStart", "ru_1", f"s{number}")
        bench.clock.pass_time(2)
        bench.turn()
        assert bench.envoy.reopened == number
        assert bench.follower.checkpoint_wanted.is_set()
        bench.follower.checkpoint_wanted.clear()
        asyncio.run(bench.follower.checkpoint())
        bench.clock.pass_time(1)
        bench.turn()
        assert bench.envoy.reopened == number + 1


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_by_an_hour_neither_forgets_nor_silences_who_is_held(bench, hours):
    bench.write("TcpConnectionStart", "ru_2", "s1")
    bench.write("TcpConnectionStart", "ru_3", "s2")
    bench.write("TcpUpstreamConnected", "ru_3", "s2", u=7, rx=10)
    bench.pass_time(4)
    bench.clock.set(hours * 3600)
    bench.pass_time(4)
    woken = len(bench.woken)
    bench.pass_time(10)
    assert len(bench.woken) >= woken + 4
    bench.write("TcpPeriodic", "ru_3", "s2", u=7, rx=25)
    bench.turn()
    counted = [minute for (rule, _), minute in bench.activity.minutes.items() if rule == "ru_3"]
    assert (sum(m.connections for m in counted), sum(m.bytes_in for m in counted)) == (1, 25)


def test_who_is_held_for_longer_than_a_start_may_take_is_let_go_and_nobody_else(bench):
    bench.write("TcpConnectionStart", "ru_2", "s1")
    bench.write("DownstreamStart", "ru_1", "s2")
    for _ in range(10):
        bench.pass_time(60)
        assert bench.beliefs.let_go == frozenset()
        bench.write("TcpPeriodic", "ru_2", "s1")
        bench.write("DownstreamPeriodic", "ru_1", "s2")
    bench.pass_time(2)
    assert bench.beliefs.let_go == {("ru_2", True), ("ru_1", False)}
    bench.write("TcpConnectionEnd", "ru_2", "s1")
    bench.turn()
    assert bench.beliefs.let_go == {("ru_1", False)}
    # What never ends died with its Envoy: others are not kept out for it.
    bench.pass_time(6)
    assert bench.beliefs.let_go == frozenset()


def test_a_request_that_a_running_target_takes_long_to_answer_is_not_let_go(bench):
    bench.write("DownstreamStart", "ru_1", "s1")
    bench.beliefs.of["ru_1"].accepts = True
    for _ in range(13):
        bench.pass_time(50)
        bench.write("DownstreamPeriodic", "ru_1", "s1")
        assert bench.beliefs.let_go == frozenset()


def test_since_when_a_client_is_held_outlives_the_agent(bench):
    bench.write("TcpConnectionStart", "ru_2", "s1")
    for _ in range(4):
        bench.pass_time(60)
        bench.write("TcpPeriodic", "ru_2", "s1")
    bench.turn()
    again = Activity()
    again.restore({}, json.loads(json.dumps(bench.activity.open_streams())))
    again.feed(bench.log.read_bytes().splitlines()[-1])
    assert again.held["s1"].at == START.timestamp()
