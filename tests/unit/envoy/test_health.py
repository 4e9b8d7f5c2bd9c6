"""What a balancer's health check is told."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from chalicelib.agent.health import MOST_CLIENTS, PATIENCE, Health, HealthServer
from chalicelib.agent.settings import load
from chalicelib.agent.verifier import Verifier
from tests.e2e.tools import free_port
from tests.unit.envoy.fakes import FakeEnvoy, HandClock

ASK = b"GET /healthz HTTP/1.1\r\nHost: 10.0.0.7:15021\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\r\n"


class Bench:
    def __init__(self, patience=PATIENCE):
        self.clock, self.envoy, self.serving = HandClock(), FakeEnvoy(), True
        self.port = free_port("127.0.0.1")
        self.health = Health(self.envoy, lambda: self.serving, self.clock)
        self.server = HealthServer(self.health, "127.0.0.1", self.port, patience)

    async def __aenter__(self):
        await self.server.open()
        return self

    async def __aexit__(self, *_):
        await self.server.close()

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, request=ASK):
        reader, writer = await self.connect()
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        head, _, body = answer.decode().partition("\r\n\r\n")
        return int(head.split(" ")[1]), body.strip()


def told(bench, request=ASK):
    async def run():
        async with bench:
            return await bench.ask(request)

    return asyncio.run(run())


def test_a_member_whose_envoy_is_live_and_has_a_configuration_may_be_sent_traffic():
    assert told(Bench()) == (200, "ok")


@pytest.mark.parametrize(
    ("gone", "live", "serving", "words"),
    [
        (True, True, True, "Envoy does not answer"),
        (False, False, True, "Envoy is starting or is being shut down"),
        (False, True, False, "Envoy has no configuration yet"),
    ],
)
def test_anything_else_is_503_with_the_reason(gone, live, serving, words):
    bench = Bench()
    bench.envoy.gone, bench.envoy.live, bench.serving = gone, live, serving
    assert told(bench) == (503, words)


def test_an_envoy_that_hangs_is_told_before_the_balancer_loses_patience():
    bench = Bench()

    async def hangs():
        await asyncio.Event().wait()

    bench.envoy.is_live = hangs
    assert told(bench) == (503, "Envoy does not answer")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"HEAD /healthz HTTP/1.1\r\n\r\n", 200),
        (b"GET /healthz?from=nlb HTTP/1.0\r\n\r\n", 200),
        (b"GET /status HTTP/1.1\r\n\r\n", 404),
        (b"POST /healthz HTTP/1.1\r\n\r\n", 405),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"GET /healthz\r\n\r\n", 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
    ],
)
def test_only_that_one_question_is_answered(request_, status):
    code, body = told(Bench(), request_)
    assert code == status
    assert (body == "") is request_.startswith(b"HEAD")


def test_envoy_is_asked_once_a_second_however_many_ask_us():
    bench = Bench()

    async def run():
        async with bench:
            assert {status for status, _ in await asyncio.gather(*(bench.ask() for _ in range(30)))} == {200}
            assert bench.envoy.asked == 1
            bench.envoy.gone = True
            bench.clock.pass_time(1)
            assert (await bench.ask())[0] == 503
            assert bench.envoy.asked == 2

    asyncio.run(run())


def test_clients_that_say_nothing_keep_no_balancer_out():
    bench = Bench()

    async def run():
        async with bench:
            silent = [await bench.connect() for _ in range(MOST_CLIENTS + 20)]
            assert await bench.ask() == (200, "ok")
            assert await asyncio.wait_for(silent[0][0].read(), 1) == b""  # the oldest had to go
            assert not silent[-1][0].at_eof()
            for _, writer in silent:
                writer.close()

    asyncio.run(run())


def test_who_says_nothing_for_its_time_is_closed():
    bench = Bench(patience=0.2)

    async def run():
        async with bench:
            reader, writer = await bench.connect()
            writer.write(b"GET /healthz HTTP/1.1\r\n")  # and never the end of it
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 2) == b""
            writer.close()

    asyncio.run(run())


def test_a_port_that_is_taken_is_tried_again_and_ends_nothing():
    bench, other = Bench(), Bench()
    other.port = bench.port
    other.server = HealthServer(other.health, "127.0.0.1", bench.port)

    async def run():
        async with bench:
            await other.server.open()
            await bench.server.close()
        async with other:
            assert await other.ask() == (200, "ok")

    asyncio.run(run())


def test_what_a_proxy_has_before_its_first_poll_is_no_configuration_but_the_last_good_one_is():
    async def run(*, known):
        envoy, clock = FakeEnvoy(), HandClock()
        verifier = Verifier(envoy, clock, lambda _: None)
        envoy.has = {"cds": "1", "lds": "1"}
        verifier.expect("", {"cds": "1", "lds": "1"}, {}, known=known)
        await verifier.turn()
        return verifier.serving

    assert asyncio.run(run(known=True))
    assert not asyncio.run(run(known=False))


def test_a_listener_that_envoy_refuses_takes_no_member_out_of_the_balancer():
    async def run():
        envoy, clock = FakeEnvoy(), HandClock()
        verifier = Verifier(envoy, clock, lambda _: None)
        envoy.has, envoy.refused = {"cds": "1"}, {"lds": 1}
        verifier.expect("r1.s1", {"cds": "1", "lds": "1"}, {})
        await verifier.turn()
        return verifier.serving

    assert asyncio.run(run())


@pytest.mark.parametrize("port", [0, 65536, "15021", True, 1.5])
def test_a_setting_that_is_no_port_is_named(tmp_path, port):
    needed = dict.fromkeys(("api_url", "load_balancer_id", "member", "region", "log_group", "key_file"), "x")
    dirs = {"run_dir": str(tmp_path), "state_dir": str(tmp_path)}
    file = tmp_path / "agent.json"
    file.write_text(json.dumps(needed | dirs | {"health_port": port}))
    with pytest.raises(ValueError, match="health_port"):
        load(file)
    file.write_text(json.dumps(needed | dirs | {"health_port": None}))
    assert load(file).health_port is None
    file.write_text(json.dumps(needed | dirs))
    assert load(file).health_port == 15021
