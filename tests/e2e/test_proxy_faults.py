"""Faults, one by one, with the real Envoy and the real agent: what runs is served throughout, no activity is lost."""

from __future__ import annotations

import json
import random
import threading
import time
from itertools import pairwise
from typing import Any, Self

import pytest

from tests.certificates import make_pair
from tests.e2e.guests import echo, web_site
from tests.e2e.tools import free_port, is_silent, receive, until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("still_running")]


NONSENSE = (
    b"<html>502 Bad Gateway</html>",
    b'"a text"',
    b"[" * 100_000,
    b'{"rules":{"items":[{"id":"ru_x","targets": ["nowhere"], "tcp": [{"listen": 1, "target": 2}]}]}, "states":null}',
    b'{"rules": {"items": 7}, "states": {"items": []}}',
    b'{"rules": {"items": [null]}, "states": {"items": [{"rule": ["x"]}]}}',
)


class Clients:
    """Somebody who uses a site, request after request, and has a TCP session open to which he types."""

    def __init__(self, world, port: int, name: str) -> None:
        self.world, self.port, self.host = world, port, f"{name}.test"
        self.http, self.tcp = f"ru_{name}_web", f"ru_{name}_tcp"
        world.site(self.http, self.host, port).start()
        guest, listen = world.shell(self.tcp, echo)
        guest.start()
        self.session = world.connect(listen)
        self.requests = self.typed = 0
        self.failed: list[Any] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(20)
        self.session.close()

    def _live(self) -> None:
        while not self._ended.is_set():
            try:
                answer = self.world.request("GET", self.port, self.host)
                self.session.sendall(b"x" * 100)
                echoed = receive(self.session, 100)
            except OSError as error:
                self.failed.append(error)
                return
            self.requests += 1
            self.typed += len(echoed)
            if answer.status != 200:
                self.failed.append(answer)
            time.sleep(0.005)

    def stored(self) -> tuple[int, int, int]:
        """Requests, TCP connections and bytes as the control plane has them: the largest of each minute."""
        found: dict[tuple[str, str, str], int] = {}
        for rule, names in ((self.http, ("requests",)), (self.tcp, ("connections", "bytes_in"))):
            for line in self.world.plane.summaries(rule):
                for name in names:
                    key = (rule, line["minute"], name)
                    found[key] = max(found.get(key, 0), line[name])
        return (
            sum(count for (_, _, name), count in found.items() if name == "requests"),
            sum(count for (_, _, name), count in found.items() if name == "connections"),
            sum(count for (_, _, name), count in found.items() if name == "bytes_in"),
        )

    def all_is_stored(self) -> None:
        """Everything arrived, and the totals stay what they are when more heartbeats come."""
        assert not self.failed
        wanted = (self.requests, 1, self.typed)
        until(lambda: self.stored() == wanted, 15, f"{wanted} stored, not {self.stored()}")
        self.world.heard(len(self.world.plane.beats()) + 2)
        assert self.stored() == wanted


def proved_without_a_gap(beats: list[dict[str, Any]]) -> None:
    """In the order of their numbers, each once: a heartbeat may arrive twice."""
    once = list({beat["seq"]: beat for beat in sorted(beats, key=lambda beat: beat["seq"])}.values())
    assert not any(beat.get("hole") for beat in once)
    for one, next_ in pairwise(once):
        assert (next_["seq"], next_["observed_from"]) == (one["seq"] + 1, one["observed_through"])


def test_without_control_plane_and_log_api_what_runs_is_served_who_waits_waits_and_nothing_is_lost(world, port):
    down, listen = world.shell("ru_wait")
    with Clients(world, port, "gone") as clients:
        before = len(world.plane.beats())
        world.plane.go()
        world.plane.go_logs()
        try:
            with world.connect(listen) as waiting:
                assert is_silent(waiting, 3)  # three heartbeats, thirty polls
                assert not world.plane.woken("ru_wait")
                world.plane.come()
                back = time.monotonic()
                until(lambda: world.plane.woken("ru_wait"))
                assert time.monotonic() - back < 3.5
                waiting.sendall(b"there")
                down.start()
                assert receive(waiting, 5) == b"there"
        finally:
            if not world.plane.is_there:
                world.plane.come()
            world.plane.come_logs()
    clients.all_is_stored()
    proved_without_a_gap(world.plane.beats()[before:])


def test_an_agent_that_is_killed_again_and_again_in_the_middle_of_its_writes_loses_and_doubles_nothing(world, port):
    drawn = random.Random(7)
    with Clients(world, port, "killed") as clients:
        before = len(world.plane.beats())
        until(lambda: clients.stored()[0] > 0)
        for _ in range(6):
            time.sleep(drawn.uniform(0.4, 1.7))
            world.kill_agent()
            world.start_agent()
    clients.all_is_stored()
    proved_without_a_gap(world.plane.beats()[before:])


def test_a_killed_envoy_comes_back_with_the_last_configuration_and_the_agent_goes_on(world, port):
    guest = world.site("ru_back", "back.test", port)
    guest.start()
    agent = world.processes.running["agent"].pid
    assert world.request("GET", port, "back.test").status == 200
    until(lambda: world.plane.summaries("ru_back"))
    world.plane.go()
    try:
        world.kill_envoy()
        world.start_envoy()  # as systemd does, with Restart=always
        until(lambda: _status(world, port, "back.test") == 200, what="served again, without the control plane")
    finally:
        world.plane.come()
    until(lambda: sum(line["requests"] for line in world.plane.summaries("ru_back")) >= 2)
    world.site("ru_after", "after.test", port).start()
    assert world.request("GET", port, "after.test").status == 200
    assert world.processes.running["agent"].pid == agent


def _status(world, port: int, host: str) -> int | None:
    try:
        return world.request("GET", port, host).status
    except OSError:
        return None


def test_while_every_disk_is_full_what_runs_is_served_and_all_is_made_up_for_afterwards(world, port):
    with Clients(world, port, "full") as clients:
        until(lambda: clients.stored()[0] > 0)
        world.disk_full_for_the_agent(full=True)
        try:
            before, requests = len(world.plane.beats()), clients.requests
            guest = world.guest(web_site)
            http = [{"hosts": ["late.full.test"], "port": port, "target": guest.port}]
            etag = world.plane.publish({"id": "ru_full_late", "targets": [guest.address], "http": http})
            # Heartbeats go on from memory.
            world.heard(before + 3)
            until(lambda: clients.requests > requests + 20)
            assert not world.plane.applied(etag)
        finally:
            world.disk_full_for_the_agent(full=False)
        world.in_force(etag)
    clients.all_is_stored()
    proved_without_a_gap(world.plane.beats()[before:])
    spool = sorted((world.home / "state" / "spool").glob("[0-9]*.json"), key=lambda path: int(path.stem))
    kept = [int(path.stem) for path in spool]
    assert {beat["seq"] for beat in world.plane.beats()[before:]} <= set(kept)


def test_a_throttled_log_api_is_asked_once_a_heartbeat_and_gets_everything_later(world, port):
    with Clients(world, port, "slow") as clients:
        until(lambda: clients.stored()[0] > 0)
        before, refused = len(world.plane.beats()), world.plane.refused_calls
        world.plane.throttled = True
        try:
            began = time.monotonic()
            time.sleep(3)
            assert len(world.plane.beats()) <= before + 1, "what is not shipped is not claimed"
            # One call for each heartbeat, which botocore makes twice.
            assert 2 <= world.plane.refused_calls - refused <= 2 * (time.monotonic() - began + 2)
            until(lambda: "TROUBLE: the activity log fails since" in world.status()[1])
        finally:
            world.plane.throttled = False
    clients.all_is_stored()
    proved_without_a_gap(world.plane.beats()[before:])


def test_a_malformed_configuration_changes_nothing(world, port):
    guest = world.site("ru_form", "form.test", port)
    guest.start()
    try:
        for nonsense in NONSENSE:
            handed = world.plane.nonsense_handed
            world.plane.nonsense = nonsense
            # It asks again, so it outlived the first.
            until(lambda handed=handed: world.plane.nonsense_handed >= handed + 2, what=str(nonsense[:50]))
            assert world.request("GET", port, "form.test").status == 200
        until(lambda: "'nowhere' does not appear to be an IPv4 or IPv6 address" in json.dumps(world.plane.reports))
    finally:
        world.plane.nonsense = None
    world.in_force(world.plane.publish(*world.plane.rules.values()))


def test_routes_that_envoy_refuses_are_reported_and_a_restarted_envoy_serves_the_last_good_ones(world, port):
    guest = world.site("ru_steady", "steady.test", port)
    guest.start()
    agents = [f"agent-{number}-" + "x" * 180 for number in range(1000)]  # a pattern larger than Envoy takes
    bad = world.plane.publish(world.plane.rules["ru_steady"] | {"ignore": {"user_agents": agents}})
    until(lambda: [r for r in list(world.plane.reports) if r["config"] == bad and "rejected" in r], what="reported")
    assert world.request("GET", port, "steady.test").status == 200
    until(lambda: "agent-999" not in (world.run_dir / "xds" / "rds" / f"http-{port}.json").read_text())
    assert "agent-999" not in (world.home / "state" / "config.json").read_text()
    world.plane.go()
    try:
        world.kill_envoy()
        world.start_envoy()
        until(lambda: _status(world, port, "steady.test") == 200, what="served by the new Envoy")
        world.kill_agent()
        world.start_agent()
        until(lambda: world.request("GET", port, "nobody.test").status == 404)
        assert world.request("GET", port, "steady.test").status == 200
    finally:
        world.plane.come()
    rule = {key: value for key, value in world.plane.rules["ru_steady"].items() if key != "ignore"}
    world.in_force(world.plane.publish(rule))


def test_a_deleted_secret_is_reported_and_its_certificate_served_on(world):
    pair = make_pair("deleted.test")
    world.plane.put_secret("deleted", pair.chain, pair.key)
    port = free_port(world.address)
    world.plane.certify("deleted", "deleted.test")
    place = {"hosts": ["deleted.test"], "port": port, "tls": True}
    guest = world.guest(echo)
    rule = {"id": "ru_deleted", "targets": [guest.address], "http": [place | {"target": guest.port}]}
    world.in_force(world.plane.publish(rule))
    until(lambda: world.plane.certificate_status("deleted") == "ok")
    world.secure(port, "deleted.test", pair.chain).close()
    for kind in ("cert", "key"):
        del world.plane.secrets[f"deleted-{kind}"]
    until(lambda: "can't find the specified secret" in _told_of_secrets(world))
    until(lambda: "TROUBLE: certificate of deleted.test" in world.status()[1])
    world.secure(port, "deleted.test", pair.chain).close()
    world.plane.put_secret("deleted", pair.chain, pair.key)
    until(lambda: "can't find" not in _told_of_secrets(world))


def _told_of_secrets(world) -> str:
    told = [report["secrets"] for report in list(world.plane.reports) if "secrets" in report]
    return json.dumps(told[-1] if told else [])
