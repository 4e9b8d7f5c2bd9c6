"""The data plane for real: Envoy and the agent, with the control plane played by the test."""

from __future__ import annotations

import hashlib
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from tests.e2e.guests import greeting
from tests.e2e.tools import BROWSER, is_silent, receive, until, utc

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("still_running")]


def test_a_browser_gets_the_page_at_once_and_the_site_as_soon_as_it_accepts(world, port):
    guest = world.site("ru_page", "page.test", port)
    page = world.request("GET", port, "page.test", "/inbox?token=secret", **BROWSER)
    assert page.status == 503
    assert page.seconds < 1
    assert page.headers["retry-after"] == "2"
    assert page.headers["cache-control"] == "no-store"
    assert "page.test is starting" in page.text
    cause = until(lambda: world.plane.woken("ru_page"))[0]
    assert cause["source"] == world.client
    assert "secret" not in json.dumps(world.plane.woken("ru_page"))
    up = guest.start()
    answer = world.request("GET", port, "page.test", **BROWSER)
    assert (answer.status, answer.headers["server"]) == (200, "guest")
    assert time.monotonic() - up < 1
    world.seen_up("ru_page")


def test_a_target_sees_its_clients_address_and_its_own_errors_reach_the_browser_untouched(world, port):
    guest = world.site("ru_own", "own.test", port)
    guest.start()
    answer = world.request("GET", port, "own.test", "/error", X_Forwarded_For="6.6.6.6", **BROWSER)
    assert answer.status == 500
    assert json.loads(answer.body)["from"] == f"6.6.6.6,{world.client}"
    assert "retry-after" not in answer.headers
    assert not [name for name in answer.headers if name.startswith("x-envoy")]


def test_a_wildcard_host_wakes_its_own_rule_and_forged_headers_wake_nothing(world, port):
    world.site("ru_wild", "*.wild.test", port)
    world.site("ru_other", "other.test", port)
    forged = {"x_autostop_rule": "ru_other", "x_autostop_source": "6.6.6.6", "X_Forwarded_For": "6.6.6.6"}
    page = world.request("GET", port, f"a.b.wild.test:{port}", **BROWSER, **forged)
    assert "a.b.wild.test is starting" in page.text
    causes = until(lambda: world.plane.woken("ru_wild"))
    assert {cause["source"] for cause in causes} == {world.client}
    assert world.plane.woken("ru_other") == []


def test_a_post_is_held_and_arrives_whole(world, port):
    guest = world.site("ru_post", "post.test", port)
    body = random.Random(1).randbytes(1_000_000)
    with ThreadPoolExecutor() as pool:
        posted = pool.submit(world.request, "POST", port, "post.test", "/", body)
        # It is woken for again for as long as it is held.
        until(lambda: len(world.plane.woken("ru_post")) > 1)
        up = guest.start()
        answer = posted.result(20)
    assert answer.status == 200
    said = json.loads(answer.body)
    assert (said["bytes"], said["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert time.monotonic() - up < 2


def test_tcp_is_held_and_spliced_whoever_speaks_first(world):
    echoing, echo_port = world.shell("ru_echo")
    speaking, speak_port = world.shell("ru_speak", greeting)
    data = random.Random(2).randbytes(60_000)
    with world.connect(echo_port) as client_first, world.connect(speak_port) as server_first:
        client_first.sendall(data)
        until(lambda: world.plane.woken("ru_echo") and world.plane.woken("ru_speak"))
        assert is_silent(server_first, 0.2)
        up = echoing.start()
        assert receive(client_first, len(data)) == data
        assert time.monotonic() - up < 2
        up = speaking.start()
        assert receive(server_first, 11) == b"220 hello\r\n"
        assert time.monotonic() - up < 2
        server_first.sendall(data)
        assert receive(server_first, len(data)) == data
    kinds = {cause["kind"] for cause in world.plane.woken("ru_echo")}
    assert "tcp" in kinds


def test_a_drain_diverts_new_connections_only_and_ends_by_itself_without_the_control_plane(world):
    guest, listen = world.shell("ru_drain")
    with world.connect(listen) as before:
        before.sendall(b"one")
        guest.start()
        assert receive(before, 3) == b"one"
        world.seen_up("ru_drain")
        until_ = utc(4)
        etag = world.plane.publish(states=({"rule": "ru_drain", "drain_until": until_},))
        world.in_force(etag)
        told = until(lambda: [beat for beat in world.plane.beats() if beat["config"] == etag])
        assert told
        world.plane.go()
        try:
            with world.connect(listen) as diverted:
                diverted.sendall(b"two")
                assert is_silent(diverted, 0.5)
                before.sendall(b"three")
                assert receive(before, 5) == b"three"
                assert receive(diverted, 3) == b"two"
                assert time.time() > datetime.fromisoformat(until_).timestamp()
        finally:
            world.plane.come()


def test_what_may_not_start_holds_nobody(world, port):
    world.site("ru_kept", "kept.test", port)
    _, listen = world.shell("ru_shut")
    kept = {"startable": False, "reason": "cool_down", "detail": "kept down by Ada", "until": utc(3600)}
    world.in_force(world.plane.publish(states=({"rule": "ru_kept"} | kept, {"rule": "ru_shut"} | kept)))
    page = world.request("GET", port, "kept.test", **BROWSER)
    assert (page.status, page.headers["retry-after"]) == (503, "60")
    assert "kept down by Ada" in page.text
    problem = world.request("POST", port, "kept.test", "/", b"x")
    assert (problem.status, problem.headers["content-type"].split(";")[0]) == (503, "application/problem+json")
    assert problem.seconds < 1

    def closed_at_once() -> bool:
        with world.connect(listen) as connection:
            connection.settimeout(1)
            try:
                return connection.recv(1) == b""
            except TimeoutError:
                return False

    until(closed_at_once, what="closed at once, three failed probes after the configuration")
    assert world.plane.woken("ru_kept") == []


def test_what_is_ignored_neither_wakes_nor_waits_nor_counts(world, port):
    monitor = f"{world.block}.77"
    ignore = {"paths": ["/healthz"], "user_agents": ["kube-probe*"]}
    guest = world.site("ru_quiet", "quiet.test", port, ignore=ignore)
    _, listen = world.shell("ru_muted", ignore={"cidrs": [f"{monitor}/32"]})
    for path, headers in (("/healthz", {}), ("/", {"User_Agent": "kube-probe/1.29"})):
        answer = world.request("GET", port, "quiet.test", path, **headers)
        assert (answer.status, answer.seconds < 1) == (503, True)
    browsed = world.request("GET", port, "quiet.test", "/healthz", **BROWSER)
    assert "tries again by itself" in browsed.text
    with world.connect(listen, monitor) as held, world.connect(listen) as client:
        until(lambda: world.plane.woken("ru_muted"))
        assert {cause["source"] for cause in world.plane.woken("ru_muted")} == {world.client}
        assert held.fileno() != client.fileno()
    assert world.plane.woken("ru_quiet") == []
    guest.start()
    assert world.request("GET", port, "quiet.test", "/healthz").status == 200
    assert world.request("GET", port, "quiet.test", "/").status == 200
    summaries = until(lambda: world.plane.summaries("ru_quiet"))
    assert max(line["requests"] for line in summaries) == 1
