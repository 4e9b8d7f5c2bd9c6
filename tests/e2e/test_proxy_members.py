"""A proxy with a balancer in front of it: health checks, the balancer's own connections, several members."""

from __future__ import annotations

import http.client

import pytest

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
