"""The page: whose it is comes from Envoy's headers, and its words from the control plane."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from chalicelib.agent.warm_up_server import WarmUpServer
from tests.unit.envoy.fakes import HandClock, believe, shell, site

BROWSER = {"accept": "text/html,*/*", "host": "deep.sub.example.com:8080"}


class Bench:
    def __init__(self, tmp_path) -> None:
        self.socket = tmp_path / "warm-up.sock"
        self.clock = HandClock()
        ignoring = shell("ru_3", ignore={"cidrs": ["10.9.0.0/16"]})
        kept_down = {
            "rule": "ru_2",
            "startable": False,
            "detail": "kept down <by> hand",
            "until": "2026-01-05T09:00:00Z",
        }
        self.beliefs = believe(self.clock, site(), shell(), ignoring, states=(kept_down,))
        self.woken = []
        self.server = WarmUpServer(self.beliefs, lambda *wake: self.woken.append(wake), self.clock)

    def get(self, rule: str, method: str = "GET", **headers):
        async def story():
            runner = await self.server.start(self.socket)
            try:
                connector = aiohttp.UnixConnector(str(self.socket))
                sent = BROWSER | {"x-autostop-rule": rule, "x-autostop-source": "203.0.113.7"} | headers
                async with (
                    aiohttp.ClientSession(connector=connector) as session,
                    session.request(method, "http://x/a?token=secret", headers=sent) as answer,
                ):
                    return answer.status, answer.headers, await answer.text()
            finally:
                await runner.cleanup()

        return asyncio.run(story())


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


def test_a_browser_gets_the_page_and_the_wake_names_rule_and_client_but_no_query(bench):
    status, headers, text = bench.get("ru_1")
    assert (status, headers["Retry-After"], headers["Cache-Control"]) == (503, "2", "no-store")
    assert "deep.sub.example.com is starting" in text
    cause = {"kind": "http", "source": "203.0.113.7", "host": "deep.sub.example.com", "path": "/a"}
    assert bench.woken == [("ru_1", cause)]


def test_everyone_else_gets_a_problem(bench):
    status, headers, text = bench.get("ru_1", accept="*/*")
    assert (status, headers["Content-Type"].split(";")[0]) == (503, "application/problem+json")
    assert '"status": 503' in text


def test_what_may_not_start_says_why_and_until_when_and_wakes_nobody(bench):
    status, headers, text = bench.get("ru_2")
    assert (status, headers["Retry-After"]) == (503, "60")
    assert "kept down &lt;by&gt; hand" in text
    assert "Until 2026-01-05 09:00 UTC." in text
    assert bench.woken == []


def test_an_ignored_client_wakes_nobody(bench):
    _, _, text = bench.get("ru_3", **{"x-autostop-source": "10.9.3.4"})
    assert "not started by requests from your address" in text
    assert bench.woken == []
    bench.get("ru_3")
    assert len(bench.woken) == 1


def test_a_rule_that_we_do_not_know_wakes_nobody(bench):
    status, _, _ = bench.get("ru_gone")
    assert status == 503
    assert bench.woken == []


def test_the_page_tells_what_the_control_plane_said_and_since_when(bench):
    bench.beliefs.of["ru_1"].progress = {"phase": "failed to start", "detail": "<b>no capacity</b>"}
    bench.beliefs.of["ru_1"].first_woken = bench.clock.monotonic()
    bench.clock.pass_time(42)
    _, _, text = bench.get("ru_1")
    assert "Failed to start" in text
    assert "42 seconds so far" in text
    assert "&lt;b&gt;no capacity&lt;/b&gt;" in text
