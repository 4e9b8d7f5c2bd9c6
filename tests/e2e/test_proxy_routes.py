"""Kinds of routes, for real: redirects, what a target speaks, connections that last."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.lasting import WebSocketClient, events, http2_request, http2_site, self_signed, web_socket
from tests.e2e.tools import BROWSER, until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("still_running")]


def test_a_redirect_leads_where_the_rule_says_and_wakes_nobody(world, port):
    urls = {
        "bare": "https://new.test",
        "path": "http://new.test:8080/a%20b%%41",
        "query": "https://new.test/x?y=z#part",
        "ported": "https://[::1]:8443/",
    }
    moved = [{"hosts": [f"{name}.moved.test"], "port": port, "url": url} for name, url in urls.items()]
    same = [{"hosts": ["same.moved.test"], "port": port}]
    world.site("ru_moved", "here.moved.test", port, redirects=moved + same)
    for name, url in urls.items():
        answer = world.request("GET", port, f"{name}.moved.test:{port}", "/old?secret=1", **BROWSER)
        assert (answer.status, answer.headers["location"]) == (301, url if name != "bare" else f"{url}/")
    answer = world.request("POST", port, f"same.moved.test:{port}", "/old?a=b", b"x")
    assert (answer.status, answer.headers["location"]) == (301, "https://same.moved.test/old?a=b")
    assert world.plane.woken("ru_moved") == []
    beats = len(world.plane.beats())
    world.heard(beats + 2)
    assert world.plane.summaries("ru_moved") == []


def test_a_target_may_speak_tls_with_a_certificate_that_nobody_would_trust(world, port):
    guest = world.site("ru_tls", "tls.test", port, protocol="https", tls=self_signed(world.home))
    page = world.request("GET", port, "tls.test", **BROWSER)
    assert (page.status, page.seconds < 1) == (503, True)
    until(lambda: world.plane.woken("ru_tls"))
    up = guest.start()
    answer = world.request("POST", port, "tls.test", "/", b"secret")
    assert (answer.status, answer.headers["server"]) == (200, "guest")
    assert time.monotonic() - up < 2
    until(lambda: world.plane.summaries("ru_tls"))


@pytest.mark.parametrize("starting", ["auto", "page"])
def test_a_grpc_client_is_held_and_never_shown_a_page(world, port, starting):
    id_, host = f"ru_grpc_{starting}", f"{starting}.grpc.test"
    guest = world.site(id_, host, port, http2_site, protocol="grpc", starting=starting)
    with world.connect(port) as connection, ThreadPoolExecutor() as pool:
        asked = pool.submit(http2_request, connection, host, content_type="application/grpc", te="trailers")
        until(lambda: world.plane.woken(id_))
        guest.start()
        assert asked.result(10) == b"in version two"


def test_browsers_of_an_http2_target_get_the_page_and_then_the_site(world, port):
    guest = world.site("ru_two", "two.test", port, http2_site, protocol="h2c")
    assert "two.test is starting" in world.request("GET", port, "two.test", **BROWSER).text
    guest.start()
    answer = world.request("GET", port, "two.test", **BROWSER)
    assert (answer.status, answer.body) == (200, b"in version two")


def test_a_web_socket_is_held_agreed_to_and_open_and_only_what_is_said_counts_as_use(world, port):
    guest = world.site("ru_ws", "ws.test", port, web_socket)
    with world.connect(port) as connection:
        client = WebSocketClient(connection, "ws.test")
        until(lambda: world.plane.woken("ru_ws"))
        guest.start()
        assert client.agreed()
        assert client.say(b"hello") == b"hello"
        told = until(lambda: [line for line in world.plane.summaries("ru_ws") if line["open"]])
        assert told[-1]["bytes_in"] > 0
        world.heard(len(world.plane.beats()) + 2)  # what belongs to the hello is told
        before = world.plane.summaries("ru_ws")[-1]["last_at"]
        world.heard(len(world.plane.beats()) + 3)
        # Open and silent for three periods: not closed, and no use.
        assert world.plane.summaries("ru_ws")[-1]["last_at"] == before
        assert client.say(b"again") == b"again"
        until(lambda: world.plane.summaries("ru_ws")[-1]["last_at"] > before)
        assert world.plane.summaries("ru_ws")[-1]["open"] == 1


def test_server_sent_events_arrive_as_they_are_sent_and_silence_ends_nothing(world, port):
    guest = world.site("ru_sse", "sse.test", port, events)
    guest.start()
    with world.connect(port) as connection:
        began = time.monotonic()
        connection.sendall(b"GET /events HTTP/1.1\r\nhost: sse.test\r\naccept: text/event-stream\r\n\r\n")
        heard, at = b"", {}
        while b"data: 2" not in heard:
            more = connection.recv(4096)
            assert more, heard
            heard += more
            for number in range(3):
                if f"data: {number}".encode() in heard:
                    at.setdefault(number, time.monotonic() - began)
    assert at[1] < 1
    assert at[2] > 3
