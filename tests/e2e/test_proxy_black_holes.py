"""Targets whose packets vanish, as those of a stopped instance do: they wake, hold, and hold no longer than a start."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.guests import BlackHole, echo
from tests.e2e.lasting import WebSocketClient, web_socket
from tests.e2e.tools import BROWSER, is_silent, receive, until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("still_running")]

START = 0.1
"""Minutes. In a black hole Envoy by itself would hold three times as long."""

HELD = START * 60
PLUS = 6
"""Seconds: until Envoy has it (1 + 0.7), an attempt and the pause before it (2), and a busy machine."""


def test_in_a_black_hole_browsers_get_the_page_and_others_are_held_until_it_is_up(world, port):
    site = world.site("ru_hole", "hole.test", port)
    shell, listen = world.shell("ru_pit")
    holes = [BlackHole(guest.address, guest.port) for guest in (site, shell)]
    page = world.request("GET", port, "hole.test", **BROWSER)
    assert (page.status, page.seconds < 1) == (503, True)
    assert "hole.test is starting" in page.text
    with world.connect(listen) as client, ThreadPoolExecutor() as pool:
        client.sendall(b"early")
        posted = pool.submit(world.request, "POST", port, "hole.test", "/", b"x" * 1000)
        until(lambda: world.plane.woken("ru_pit"))
        until(lambda: [cause for cause in world.plane.woken("ru_hole") if cause["kind"] == "held"])
        for hole in holes:
            hole.close()
        up = max(site.start(), shell.start())
        assert receive(client, 5) == b"early"
        assert posted.result(10).status == 200
        assert time.monotonic() - up < 3


def test_in_a_black_hole_nobody_is_held_longer_than_a_start_may_take_and_who_is_connected_stays(world, port):
    site = world.site("ru_late", "late.test", port, web_socket, start=START)
    shell, listen = world.shell("ru_deep", echo, start=START)
    site.start()
    shell.start()
    with world.connect(port) as web, world.connect(listen) as session:
        live = WebSocketClient(web, "late.test")
        assert live.agreed()
        session.sendall(b"in")
        assert receive(session, 2) == b"in"
        for guest in (site, shell):
            guest.refuse()
        holes = [BlackHole(guest.address, guest.port) for guest in (site, shell)]
        with contextlib.closing(world.connect(listen)) as held, ThreadPoolExecutor() as pool:
            began = time.monotonic()
            posted = pool.submit(world.request, "POST", port, "late.test", "/", b"x")
            assert held.recv(1) == b""
            assert HELD < time.monotonic() - began < HELD + PLUS
            answer = posted.result(20)
            assert answer.status == 503
            assert HELD < answer.seconds < HELD + PLUS
        session.sendall(b"still")
        assert receive(session, 5) == b"still"
        assert live.say(b"still") == b"still"
        # Whoever comes within that moment is closed as well; the next one is held anew, and gets through.
        with contextlib.closing(until(lambda: _held(world, listen))) as again:
            again.sendall(b"again")
            for hole in holes:
                hole.close()
            shell.start()
            assert receive(again, 5) == b"again"


def _held(world, listen: int):
    connection = world.connect(listen)
    with contextlib.suppress(ConnectionResetError):
        if is_silent(connection, 0.5):
            return connection
    connection.close()
    return None
