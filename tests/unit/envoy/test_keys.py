"""Where the agent has its API key from, and what it does when the key is rotated or not to be had."""

from __future__ import annotations

import asyncio
import json
import logging

import aiohttp
import pytest
from aiohttp import web

from chalicelib.agent.control_plane import HttpControlPlane, Unreachable
from chalicelib.agent.keys import KEPT, REFUSED_AGAIN, KeyFile, KeySecret
from chalicelib.agent.secret_source import SecretUnavailableError
from chalicelib.agent.settings import load
from tests.unit.envoy.fakes import HandClock, settings
from tests.unit.envoy.test_calls import served

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:autostop/lb_1-AbCdEf"


class Vault:
    """A secret in Secrets Manager, which can be out of reach. `reads` counts what is paid."""

    def __init__(self, value: str = "ak_1_first") -> None:
        self.value, self.down, self.reads = value, False, 0

    def version(self, arn: str) -> str:
        raise AssertionError(f"the version of {arn} is no business of a key")

    def read(self, arn: str) -> str:
        assert arn == ARN
        self.reads += 1
        if self.down:
            raise SecretUnavailableError("Secrets Manager does not answer")
        return self.value


def key_of(vault: Vault, clock: HandClock) -> KeySecret:
    return KeySecret(ARN, vault, clock)


def test_a_secret_is_read_once_in_five_minutes_and_then_its_new_version_is_used():
    async def job():
        vault, clock = Vault(), HandClock()
        key = key_of(vault, clock)
        assert [await key.get() for _ in range(3)] == ["ak_1_first"] * 3
        vault.value = "ak_2_second\n"
        clock.pass_time(KEPT * 0.85)
        assert await key.get() == "ak_1_first"
        assert vault.reads == 1
        clock.pass_time(KEPT * 0.3)
        assert await key.get() == "ak_2_second"

    asyncio.run(job())


def test_a_key_that_the_control_plane_refuses_is_looked_for_at_once_and_then_each_ten_seconds():
    async def job():
        vault, clock = Vault(), HandClock()
        key = key_of(vault, clock)
        await key.get()
        clock.pass_time(60)
        vault.value = "ak_2_second"
        key.refused("ak_1_first")
        assert await key.get() == "ak_2_second"
        for _ in range(30):
            key.refused("ak_2_second")
            await key.get()
            clock.pass_time(1)
        assert vault.reads <= 2 + 30 / REFUSED_AGAIN + 1

    asyncio.run(job())


def test_that_another_key_was_refused_says_nothing_about_this_one():
    async def job():
        vault, clock = Vault(), HandClock()
        key = key_of(vault, clock)
        await key.get()
        clock.pass_time(60)
        key.refused("ak_0_older")
        await key.get()
        assert vault.reads == 1

    asyncio.run(job())


def test_while_the_secret_is_out_of_reach_or_broken_the_last_key_is_used_on(caplog):
    async def job():
        vault, clock = Vault(), HandClock()
        key = key_of(vault, clock)
        await key.get()
        for broken in ("", "something secret", "ak_1_a\nak_2_b"):
            vault.value = broken
            clock.pass_time(KEPT * 2)
            assert await key.get() == "ak_1_first"
        vault.down = True
        clock.pass_time(KEPT * 2)
        assert await key.get() == "ak_1_first"
        assert key.trouble == "Secrets Manager does not answer"
        vault.down, vault.value = False, "ak_1_first"
        clock.pass_time(REFUSED_AGAIN)
        await key.get()
        assert key.trouble is None

    with caplog.at_level(logging.DEBUG):
        asyncio.run(job())
    assert "something secret" not in caplog.text
    assert "ak_1" not in caplog.text


def test_without_any_key_ever_the_call_fails_as_an_outage():
    async def job():
        vault = Vault()
        vault.down = True
        with pytest.raises(OSError, match="no API key"):
            await key_of(vault, HandClock()).get()

    asyncio.run(job())


def test_a_file_is_read_anew_at_each_use(tmp_path):
    file = tmp_path / "key"
    file.write_text("ak_1_first\n")
    key = KeyFile(file)
    assert asyncio.run(key.get()) == "ak_1_first"
    file.write_text("ak_2_second")
    assert asyncio.run(key.get()) == "ak_2_second"
    file.write_text("half a wri")
    with pytest.raises(OSError, match="does not hold an API key"):
        asyncio.run(key.get())


def test_a_rotated_key_is_picked_up_by_the_calls_without_a_restart(tmp_path):
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response(status=204 if seen[-1] == "Bearer ak_2_second" else 401)

    async def job(url: str) -> None:
        made = settings(tmp_path, api_url=url)
        vault, clock = Vault(), HandClock()
        key = key_of(vault, clock)
        async with aiohttp.ClientSession() as session:
            plane = HttpControlPlane(made, session, key)
            await key.get()
            vault.value = "ak_2_second"
            clock.pass_time(REFUSED_AGAIN)
            with pytest.raises(Unreachable, match="401"):
                await plane.report({})
            await plane.report({})

    asyncio.run(served(answer, job))
    assert seen == ["Bearer ak_1_first", "Bearer ak_2_second"]


@pytest.mark.parametrize("keys", [{}, {"key_file": "/k", "api_key_secret_arn": ARN}])
def test_settings_name_one_place_for_the_key(tmp_path, keys):
    file = tmp_path / "agent.json"
    given = {"api_url": "https://x", "load_balancer_id": "lb_1", "member": "i-1", "region": "us-east-1"}
    given |= {"log_group": "/g", "run_dir": "/r", "state_dir": "/s"}
    file.write_text(json.dumps(given | keys))
    with pytest.raises(ValueError, match="one of key_file and api_key_secret_arn"):
        load(file)
    file.write_text(json.dumps(given | {"api_key_secret_arn": ARN}))
    assert load(file).api_key_secret_arn == ARN
