"""Changes of a large configuration: soon with clients, and nothing to those whom they are not about."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import asyncssh
import pytest

from scripts.benches.proxy import changes
from tests.e2e.guests import Guest, echo
from tests.e2e.lasting import WebSocketClient, web_socket
from tests.e2e.tools import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("still_running")]


def test_a_change_of_a_thousand_rules_is_with_clients_within_two_seconds_after_the_agent_has_it(capsys):
    asyncio.run(changes.run(1000, rounds=1))
    (line,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert line["metric"] == "config_change_s"
    assert line["value"] <= 2


class Anybody(asyncssh.SSHServer):
    """Lets in whoever comes."""

    def begin_auth(self, username: str) -> bool:
        return False


async def _answer(process: asyncssh.SSHServerProcess[str]) -> None:
    async for line in process.stdin:
        process.stdout.write(f"{line.strip()}!\n")


class Shell:
    """A real SSH client and server with the proxy between them."""

    def __init__(self, world, guest: Guest, listen: int) -> None:
        self._loop = world.loop
        self._loop.run(self._open(world, guest, listen))

    async def _open(self, world, guest: Guest, listen: int) -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        self._server = await asyncssh.create_server(
            Anybody, guest.address, guest.port, server_host_keys=[key], process_factory=_answer
        )
        self._client = await asyncssh.connect(
            world.address, listen, username="ada", known_hosts=None, client_keys=None, config=None
        )
        self._process = await self._client.create_process()

    def say(self, text: str) -> str:
        return self._loop.run(self._say(text))

    async def _say(self, text: str) -> str:
        self._process.stdin.write(f"{text}\n")
        return (await self._process.stdout.readline()).strip()

    def close(self) -> None:
        self._loop.run(self._close())

    async def _close(self) -> None:
        self._client.close()
        self._server.close()
        await self._client.wait_closed()


def test_an_ssh_session_and_a_web_socket_stay_open_through_a_hundred_changes(world, port):
    site = world.site("ru_stays", "stays.test", port, web_socket)
    site.start()
    guest, listen = world.shell("ru_login", echo)
    shell = Shell(world, guest, listen)
    other, other_listen = world.shell("ru_other_port", echo)
    try:
        with world.connect(port) as connection:
            live = WebSocketClient(connection, "stays.test")
            assert live.agreed()
            assert shell.say("hello") == "hello!"
            for number in range(100):
                _change(world, port, number, other, other_listen)
                if number % 10 == 9:
                    assert shell.say(f"{number}") == f"{number}!"
                    assert live.say(b"%d" % number) == b"%d" % number
            world.in_force(world.plane.etag)
            assert (shell.say("bye"), live.say(b"bye")) == ("bye!", b"bye")
    finally:
        shell.close()


def _change(world, port: int, number: int, other: Guest, listen: int) -> None:
    """In turn: routes that come, other targets, another listener, routes that go; each is written for Envoy."""
    before = _files(world)
    place = {"hosts": [f"h{number}.changing.test"], "port": port, "target": other.port}
    tcp = [{"listen": listen, "target": other.port}]
    match number % 4:
        case 0:
            world.plane.publish({"id": "ru_changing", "targets": [other.address], "http": [place]})
        case 1:
            world.plane.publish({"id": "ru_other_port", "targets": [f"{world.block}.{number}"], "tcp": tcp})
        case 2:
            start = 5 + number / 10
            world.plane.publish({"id": "ru_other_port", "targets": [other.address], "tcp": tcp, "start": start})
        case _:
            world.plane.withdraw("ru_changing")
    until(lambda: _files(world) != before, what=f"change {number} written")


def _files(world) -> list[int]:
    """When each kind of file was written last."""
    return [path.stat().st_mtime_ns for kind in ("cds", "lds", "rds") for path in sorted(_xds(world, kind))]


def _xds(world, kind: str) -> list[Path]:
    return list((world.run_dir / "xds" / kind).glob("*.json"))
