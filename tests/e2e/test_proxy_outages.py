"""The data plane when something is missing: a port, a heartbeat, the control plane, the agent."""

from __future__ import annotations

import socket
import threading
from itertools import pairwise

import pytest

from tests.e2e.guests import greeting
from tests.e2e.tools import BROWSER, free_port, receive, until, utc

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("still_running")]


def test_a_configuration_that_envoy_rejects_is_told_in_its_words_and_everything_else_goes_on(world, port):
    taken = socket.create_server((world.address, 0))
    bad = taken.getsockname()[1]
    guest, _ = world.shell("ru_good")
    tcp = [{"listen": bad, "target": guest.port}]
    etag = world.plane.publish({"id": "ru_bad", "targets": [guest.address], "tcp": tcp})
    rejected = until(lambda: [r for r in list(world.plane.reports) if r["config"] == etag and "rejected" in r])
    assert f"{world.address}:{bad}" in rejected[0]["rejected"]["errors"][0]
    assert not world.plane.applied(etag)
    # A drain is in force all the same: what Envoy diverts by are clusters.
    later = world.plane.publish(states=({"rule": "ru_good", "drain_until": utc(1)},))
    until(lambda: [beat for beat in world.plane.beats() if beat["config"] == later])
    added = world.guest(greeting)
    listen = free_port(world.address)
    tcp = [{"listen": listen, "target": added.port}]
    world.plane.publish({"id": "ru_added", "targets": [added.address], "tcp": tcp})
    added.start()
    until(lambda: _greeted(world, listen), what="the new listener beside the bad one")
    taken.close()
    world.in_force(world.plane.withdraw("ru_bad"))


def _greeted(world, listen: int) -> bool:
    try:
        with world.connect(listen) as connection:
            return receive(connection, 3) == b"220"
    except OSError:
        return False


def test_heartbeats_leave_no_gap_and_are_sent_again_when_they_are_missed(world):
    count = len(world.plane.beats())
    beats = until(lambda: len(world.plane.beats()) > count + 2 and world.plane.beats())
    for one, next_ in pairwise(beats):
        assert next_["seq"] == one["seq"] + 1
        assert next_["observed_from"] == one["observed_through"]
    missed = beats[-3]
    world.plane.resend_from = missed["observed_from"]
    again = until(lambda: [b for b in world.plane.beats() if b["seq"] == missed["seq"]][1:])
    world.plane.resend_from = None
    assert again[0] == missed


def test_the_status_on_the_machine_tells_an_outage_and_its_end(world):
    until(lambda: world.status()[0] == 0, 20, "all is well")
    world.plane.go()
    until(lambda: "TROUBLE: the control plane fails since" in world.status()[1], 20, "the outage is told")
    world.plane.come()
    until(lambda: world.status()[0] == 0, 20, "all is well again")


def test_without_the_control_plane_what_runs_is_served_and_a_new_agent_knows_the_last_configuration(world, port):
    guest = world.site("ru_alone", "alone.test", port)
    guest.start()
    kept = world.home / "state" / "config.json"
    until(lambda: "ru_alone" in kept.read_text(), 20, "Envoy has taken it, and it is kept for the next start")
    world.plane.go()
    world.kill_agent()
    try:
        assert world.request("GET", port, "alone.test").status == 200
        (world.run_dir / "xds" / "lds" / "lds.json").unlink()
        world.start_agent()
        until((world.run_dir / "xds" / "lds" / "lds.json").exists)
        assert world.request("GET", port, "alone.test").status == 200
        guest.stop()
        page = until(lambda: _page_of_the_agent(world, port, "alone.test"))
        assert "alone.test is starting" in page
    finally:
        world.plane.come()
    until(
        lambda: _page_of_the_agent(world, port, "alone.test") and world.plane.woken("ru_alone"),
        what="woken once the control plane is back, while somebody comes",
    )


def _page_of_the_agent(world, port: int, host: str) -> str | None:
    answer = world.request("GET", port, host, **BROWSER)
    return answer.text if answer.status == 503 and "is starting" in answer.text else None


def test_a_killed_agent_costs_a_browser_its_page_but_no_evidence(world, port):
    down = world.site("ru_kill", "kill.test", port)
    guest = world.site("ru_busy", "busy.test", port)
    guest.start()
    world.kill_agent()
    try:
        page = world.request("GET", port, "kill.test", **BROWSER)
        assert (page.status, page.headers["cache-control"]) == (503, "no-store")
        assert "retry-after" in page.headers
        assert 'http-equiv="refresh"' in page.text
        assert "upstream" not in page.text
        assert down.connections == 0
        seen = _what_the_agent_would_see(world, port)
        assert "\r\nx-autostop-rule: ru_kill\r\n" in seen
        assert f"\r\nx-autostop-source: {world.client}\r\n" in seen
        assert "secret" not in seen
        for _ in range(7):
            assert world.request("GET", port, "busy.test").status == 200
        before = len(world.plane.beats())
    finally:
        world.start_agent()
    until(lambda: sum(_requests(world, "ru_busy").values()) >= 7, what="the requests of meanwhile")
    beats = until(lambda: len(world.plane.beats()) > before + 1 and world.plane.beats())
    assert not any(beat.get("hole") for beat in beats[before:])
    assert beats[before]["observed_from"] == beats[before - 1]["observed_through"]


def _what_the_agent_would_see(world, port: int) -> str:
    """Stand in for the agent for one request that brings secrets along."""
    path = world.run_dir / "warm-up.sock"
    path.unlink(missing_ok=True)
    seen: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        secrets = {"Cookie": "session=secret", "Authorization": "Bearer secret", "Proxy_Authorization": "secret"}
        world.request("GET", port, "kill.test", **BROWSER, **secrets, x_autostop_rule="ru_secret")
        thread.join(5)
    path.unlink()
    return seen[0].decode()


def _requests(world, rule: str) -> dict[str, int]:
    """Requests by minute, the largest number of each."""
    found: dict[str, int] = {}
    for line in world.plane.summaries(rule):
        found[line["minute"]] = max(found.get(line["minute"], 0), line["requests"])
    return found


def test_the_agent_ends_on_sigterm_with_a_last_heartbeat(world):
    agent = world.processes.running.pop("agent")
    before = world.plane.beats()[-1]
    agent.terminate()
    assert agent.wait(10) == 0
    assert world.plane.beats()[-1]["seq"] > before["seq"]
    world.start_agent()
    log = (world.home / "logs" / "agent.log").read_text()
    assert "Traceback" not in log
    assert "Unclosed" not in log
