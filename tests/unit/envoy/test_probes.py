"""Probes: when they are due, how many at once, and what they make of hostile targets."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from chalicelib.agent.prober import AT_ONCE, NetworkProber, ProbeSchedule
from chalicelib.envoy.compact import CompactRule, Http, Probe
from tests.unit.envoy.fakes import START, HandClock, believe, drain, shell, site


class FakeTargets:
    """Targets that accept or not, or take for ever."""

    def __init__(self) -> None:
        self.accepting: set[str] = set()
        self.looked: list[str] = []
        self.hang = False

    async def look(self, rule):
        self.looked.append(rule.id)
        if self.hang:
            await asyncio.get_running_loop().create_future()
        return rule.id in self.accepting, None


class Bench:
    def __init__(self, *rules, states=()) -> None:
        self.clock, self.targets = HandClock(), FakeTargets()
        self.beliefs = believe(self.clock, *rules, states=states)
        self.verdicts: list[tuple[str, bool, bool]] = []
        self.jobs = []
        self.schedule = ProbeSchedule(
            self.beliefs, self.targets, self.clock, self.jobs.append, lambda *told: self.verdicts.append(told)
        )

    def turn(self, seconds: float = 0.1) -> None:
        async def once():
            await self.schedule.turn()
            jobs, self.jobs[:] = list(self.jobs), []
            await asyncio.gather(*jobs)

        asyncio.run(once())
        self.clock.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.1)):
            self.turn()


def test_a_calm_rule_is_looked_at_at_its_own_pace():
    bench = Bench(site("ru_1"), site("ru_2", health={"protocol": "tcp", "port": 1, "interval": 2}))
    bench.targets.accepting = {"ru_1", "ru_2"}
    bench.pass_time(40)
    assert 4 <= bench.targets.looked.count("ru_1") <= 6
    assert 18 <= bench.targets.looked.count("ru_2") <= 25


def test_what_somebody_waits_for_is_looked_at_often_until_it_accepts():
    bench = Bench(site("ru_1"))
    bench.turn()
    bench.beliefs.of["ru_1"].woken = bench.clock.monotonic()
    bench.beliefs.of["ru_1"].probe_at = 0
    bench.pass_time(4)
    assert len(bench.targets.looked) > 8
    bench.targets.accepting = {"ru_1"}
    bench.pass_time(1)
    looked = len(bench.targets.looked)
    bench.pass_time(5)
    assert len(bench.targets.looked) == looked
    assert bench.verdicts[-1] == ("ru_1", True, True)


def test_a_drained_rule_is_looked_at_often_and_its_change_is_pressing():
    bench = Bench(site("ru_1"), states=(drain("ru_1", START + timedelta(seconds=30)),))
    bench.targets.accepting = {"ru_1"}
    bench.pass_time(2)
    bench.targets.accepting = set()
    bench.pass_time(1)
    assert ("ru_1", True, True) in bench.verdicts[1:]


def test_one_failed_probe_does_not_turn_away_the_clients_of_what_may_not_start():
    bench = Bench(shell("ru_2"), states=({"rule": "ru_2", "startable": False},))
    bench.targets.accepting = {"ru_2"}
    bench.turn()
    bench.targets.accepting = set()
    bench.beliefs.of["ru_2"].probe_at = 0
    bench.turn()
    assert bench.beliefs.absent() == frozenset()
    bench.pass_time(1)
    assert bench.beliefs.absent() == {"ru_2"}


def test_what_nobody_has_looked_at_yet_is_not_absent():
    assert Bench(shell("ru_2"), states=({"rule": "ru_2", "startable": False},)).beliefs.absent() == frozenset()


def test_black_holes_do_not_keep_others_waiting_and_are_not_looked_at_twice_at_once():
    async def story():
        bench = Bench(*(site(f"ru_{n}") for n in range(AT_ONCE + 50)))
        bench.targets.hang = True
        tasks = set()
        bench.schedule._spawn = lambda job: tasks.add(asyncio.ensure_future(job))
        for _ in range(3):
            await bench.schedule.turn()
            await asyncio.sleep(0)
            bench.clock.pass_time(1)
        assert len(bench.targets.looked) == AT_ONCE
        last = f"ru_{AT_ONCE + 49}"
        bench.beliefs.of[last].woken = bench.clock.monotonic()
        await bench.schedule.turn()
        await asyncio.sleep(0)
        assert bench.targets.looked[-1] == last
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(story())


def test_a_verdict_about_targets_that_were_replaced_meanwhile_is_dropped():
    async def story():
        bench, answer = Bench(site("ru_1")), asyncio.Event()

        async def look(rule):
            await answer.wait()
            return True, None

        bench.targets.look = look
        await bench.schedule.turn()
        task = asyncio.ensure_future(bench.jobs.pop())
        await asyncio.sleep(0)
        bench.beliefs.adopt(believe(bench.clock, site("ru_1", targets=["10.0.0.99"])).config, "e", bench.clock.now())
        answer.set()
        await task
        assert bench.beliefs.of["ru_1"].accepts is None
        assert bench.verdicts == []
        await bench.schedule.turn()
        assert len(bench.jobs) == 1
        await bench.jobs.pop()
        assert bench.beliefs.of["ru_1"].accepts

    asyncio.run(story())


def http_rule(port: int, **check) -> CompactRule:
    probe = Probe("http", port, **({"timeout": 1.0} | check))
    return CompactRule("ru_1", ("127.0.0.1",), http=(Http(("a",), ("/*",), 80, port),), health=probe)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", (True, 200)),
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", (True, 302)),
        (b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", (False, 500)),
        (b"HTTP/1.1 2000 What\r\n\r\n", (False, None)),
        (b"nonsense\r\n\r\n", (False, None)),
        (b"", (False, None)),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\nand then nothing", (True, 200)),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nno gzip", (True, 200)),
        (b"HTTP/1.1 200 OK\r\nset-cookie: \xff\xff=;;;\r\ncontent-length: 0\r\n\r\n", (True, 200)),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", (False, None)),
    ],
)
def test_whatever_a_target_answers_is_a_verdict(answer, verdict):
    async def story():
        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            if not answer:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        prober = NetworkProber()
        try:
            return await prober.look(http_rule(server.sockets[0].getsockname()[1]))
        finally:
            await prober.close()
            server.close()

    assert asyncio.run(story()) == verdict


def test_an_endless_body_is_not_read():
    async def story():
        sent = 0

        async def serve(reader, writer):
            nonlocal sent
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                while True:
                    writer.write(b"x" * 65536)
                    sent += 65536
                    await writer.drain()
            except OSError:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        prober = NetworkProber()
        try:
            verdict = await asyncio.wait_for(prober.look(http_rule(server.sockets[0].getsockname()[1])), 5)
        finally:
            await prober.close()
            server.close()
        return verdict, sent

    verdict, sent = asyncio.run(story())
    assert verdict == (True, 200)
    assert sent < 20_000_000  # what the kernel's buffers and one turn take


def test_a_refusing_port_does_not_accept():
    async def story():
        prober = NetworkProber()
        try:
            tcp = CompactRule("ru_1", ("127.0.0.1",), health=Probe("tcp", 1))
            return [await prober.look(http_rule(1)), await prober.look(tcp)]
        finally:
            await prober.close()

    assert asyncio.run(story()) == [(False, None), (False, None)]
