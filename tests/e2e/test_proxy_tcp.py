"""Options of TCP routes, for real: who gets in, what wakes, and what counts as use."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.guests import echo
from tests.e2e.tools import free_port, is_silent, receive, until

if TYPE_CHECKING:
    import socket

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("still_running")]


def closed(connection: socket.socket) -> bool:
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


def test_a_scanner_that_sends_nothing_wakes_nobody_and_whoever_sends_five_bytes_does(world):
    guest, listen = world.shell("ru_bytes", wake_on="bytes")
    with world.connect(listen) as scanner, world.connect(listen) as client:
        assert is_silent(scanner, 2.5)  # longer than it takes to wake for who is held
        assert world.plane.woken("ru_bytes") == []
        client.sendall(b"hello")
        until(lambda: world.plane.woken("ru_bytes"))
        up = guest.start()
        assert receive(client, 5) == b"hello"
        assert time.monotonic() - up < 2
        client.sendall(b"x" * 60_000)
        assert receive(client, 60_000) == b"x" * 60_000
        summaries = until(lambda: world.plane.summaries("ru_bytes"))
        assert max(line["open"] for line in summaries) == 1


def test_who_comes_from_elsewhere_is_closed_at_once_and_wakes_nobody(world):
    elsewhere = f"{world.block}.78"
    guest, listen = world.shell("ru_door", allow=[f"{world.client}/32", "10.0.0.0/8"])
    began = time.monotonic()
    with world.connect(listen, elsewhere) as stranger:
        assert closed(stranger)
    assert time.monotonic() - began < 1
    world.heard(len(world.plane.beats()) + 2)
    assert world.plane.woken("ru_door") == []
    with world.connect(listen) as client:
        client.sendall(b"hello")
        until(lambda: world.plane.woken("ru_door"))
        guest.start()
        assert receive(client, 5) == b"hello"
    assert {cause["source"] for cause in world.plane.woken("ru_door")} == {world.client}


def test_an_open_connection_is_use_only_where_the_rule_says_so_and_a_keep_alive_only_where_it_does_not(world):
    kept, kept_port = world.shell("ru_open", idle_bytes=0)
    rare, rare_port = world.shell("ru_rare", idle_bytes=1000)
    kept.start()
    rare.start()

    def last(rule_id: str) -> str:
        return max((line["last_at"] or "" for line in world.plane.summaries(rule_id)), default="")

    with world.connect(kept_port) as open_, world.connect(rare_port) as typing:
        open_.sendall(b"hello")
        typing.sendall(b"x" * 600)  # echoed: 1,200 bytes
        assert receive(open_, 5) + receive(typing, 600)
        until(lambda: last("ru_open") and last("ru_rare"))
        world.heard(len(world.plane.beats()) + 2)  # all of that is told
        was = last("ru_open"), last("ru_rare")
        for _ in range(3):
            typing.sendall(b"keep alive")
            assert receive(typing, 10)
            world.heard(len(world.plane.beats()) + 1)
        until(lambda: last("ru_open") > was[0])
        assert last("ru_rare") == was[1]
        assert sum(line["bytes_in"] for line in world.plane.summaries("ru_rare")) >= 610


def test_who_waits_is_let_go_when_the_time_for_a_start_is_over(world):
    _, listen = world.shell("ru_short", start=0.05)
    with world.connect(listen) as client:
        began = time.monotonic()
        assert closed(client)
        assert 0.2 < time.monotonic() - began < 8  # six attempts, half a second each on average


def test_a_target_that_has_a_name_is_held_woken_and_reached_by_what_the_name_resolves_to(world):
    guest, listen = world.guest(echo), free_port(world.address)
    # The resolver of any host answers the text of an address with that address.
    tcp = [{"listen": listen, "target": guest.port}]
    rule = {"id": "ru_db", "targets": [], "names": [guest.address], "tcp": tcp, "start": 30}
    world.in_force(world.plane.publish(rule))
    with world.connect(listen) as client:
        client.sendall(b"hello")
        until(lambda: world.plane.woken("ru_db"))
        assert is_silent(client, 1)
        up = guest.start()
        assert receive(client, 5) == b"hello"
        assert time.monotonic() - up < 2
    world.seen_up("ru_db")
