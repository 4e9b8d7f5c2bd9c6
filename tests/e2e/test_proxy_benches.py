"""The benches of the data plane run at their smallest sizes and print the metrics that the contract names."""

from __future__ import annotations

import asyncio
import json

import pytest

from scripts.benches.proxy import agent_log, changes, holds, throughput, wakes

pytestmark = pytest.mark.e2e


def printed(capsys) -> dict[str, float]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["bench"] for line in lines} == {"proxy"}
    return {line["metric"]: line["value"] for line in lines}


def test_the_agents_log(capsys):
    agent_log.run(lines=200, runs=1, rules=2)
    found = printed(capsys)
    assert set(found) == {"agent_lines_per_s", "log_bytes_per_rule_minute"}
    assert 200 < found["log_bytes_per_rule_minute"] < 2_000


def test_wakes(capsys):
    asyncio.run(wakes.run(1, held=0.2))
    found = printed(capsys)
    assert set(found) == {"wake_http_p50_s", "wake_http_p99_s", "wake_tcp_p50_s", "wake_tcp_p99_s"}
    assert all(0 < value < 3 for value in found.values())


def test_holds(capsys):
    asyncio.run(holds.run(5, 5, held=0.2))
    found = printed(capsys)
    assert found.pop("held_rss_mb") > 10
    assert found == {"held_tcp": 5, "held_http": 5, "held_lost": 0}


def test_throughput(capsys):
    asyncio.run(throughput.run(rounds=1, seconds=0.1))
    found = printed(capsys)
    agent = found.pop("http_agent_cpu_us")
    assert agent >= 0  # so short a run may be less than a tick of the agent's
    envoy = found.pop("http_envoy_cpu_us")
    assert envoy > 0
    assert set(found) == {"http_throughput_rps", "tcp_throughput_rps", "http_p99_ms"}
    assert all(value > 0 for value in found.values())


def test_changes(capsys):
    asyncio.run(changes.run(3, rounds=1))
    found = printed(capsys)
    assert set(found) == {"config_change_s"}
    assert 0 < found["config_change_s"] < 10
