"""A proxy with a balancer in front of it: health checks, the balancer's own connections, several members."""

from __future__ import annotations

import http.client
import socket
import time

import pytest

from tests.e2e.guests import greeting
from tests.e2e.tools import is_silent, receive, until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("still_running")]


def health(address: str, port: int) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", "/healthz", headers={"User-Agent": "ELB-HealthChecker/2.0"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()
    finally:
        connection.close()


def test_a_balancer_is_told_that_a_proxy_with_a_live_envoy_may_be_sent_traffic(world):
    assert health(world.address, world.health_port) == (200, "ok")


def test_a_balancers_own_connections_wake_nobody_and_count_nowhere_until_they_carry_a_byte(world):
    balancer = f"{world.block}.90"
    world.balance(f"{balancer}/32")
    try:
        guest, listen = world.shell("ru_checked", idle_bytes=0)
        with world.connect(listen, balancer) as check, world.connect(listen, balancer) as forwarded:
            assert is_silent(check, 3)  # longer than it takes to wake for who is held
            assert world.plane.woken("ru_checked") == []
            forwarded.sendall(b"x")
            until(lambda: world.plane.woken("ru_checked"), 3)
            guest.start()
            assert receive(forwarded, 1) == b"x"
            told = until(lambda: world.plane.summaries("ru_checked"))
        world.heard(len(world.plane.beats()) + 2)
        before = len(world.plane.summaries("ru_checked"))
        wakes = len(world.plane.woken("ru_checked"))
        for _ in range(5):
            with world.connect(listen, balancer):
                time.sleep(0.05)
        world.heard(len(world.plane.beats()) + 2)
        told = world.plane.summaries("ru_checked")
        assert len(told) == before
        assert len(world.plane.woken("ru_checked")) == wakes
        newest = max(told, key=lambda line: (line["minute"], line["seq"]))
        assert newest["connections"] <= 1
        with world.connect(listen) as client:  # whoever comes from elsewhere wakes and counts at once
            client.sendall(b"hello")
            assert receive(client, 5) == b"hello"
        until(lambda: len(world.plane.summaries("ru_checked")) > before)
    finally:
        world.balance()


def test_where_the_server_speaks_first_a_check_that_is_greeted_is_no_use_either(world):
    balancer = f"{world.block}.91"
    world.balance(f"{balancer}/32")
    try:
        guest, listen = world.shell("ru_greets", greeting)
        guest.start()
        with world.connect(listen) as client:
            assert receive(client, 11) == b"220 hello\r\n"
        until(lambda: world.plane.summaries("ru_greets"))
        world.heard(len(world.plane.beats()) + 2)
        before = world.plane.summaries("ru_greets")
        with world.connect(listen, balancer) as check:
            assert receive(check, 11) == b"220 hello\r\n"
            world.heard(len(world.plane.beats()) + 3)
        world.heard(len(world.plane.beats()) + 2)
        assert world.plane.summaries("ru_greets") == before
    finally:
        world.balance()


def test_naming_a_balancer_and_taking_it_away_again_closes_nobodys_connection(world):
    guest, listen = world.shell("ru_lasting")
    guest.start()
    before = in_place(world)
    with world.connect(listen) as client:
        for step, cidrs in enumerate(([f"{world.block}.92/32"], [f"{world.block}.93/32"], [])):
            client.sendall(b"still")
            assert receive(client, 5) == b"still"
            world.balance(*cidrs)
            until(lambda step=step: in_place(world) > before + step)
        client.sendall(b"there")
        assert receive(client, 5) == b"there"


def in_place(world) -> int:
    """How many listeners Envoy has changed without closing them."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(world.run_dir / "admin.sock"))
        admin.sendall(b"GET /stats?filter=in_place_updated HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: admin.recv(65536), b"")).decode()
    return int(text.rpartition("listener_in_place_updated: ")[2].split()[0])
