"""Envoy's command line, where the agent's times depend on it."""

from __future__ import annotations

from pathlib import Path

from chalicelib.agent.agent import FOLLOW
from chalicelib.agent.heartbeats import MARGIN
from chalicelib.envoy.bootstrap import arguments


def flush_seconds() -> float:
    found = arguments(Path("envoy.json"), 2)
    return int(found[found.index("--file-flush-interval-msec") + 1]) / 1000


def test_records_are_written_many_at_a_time_and_before_the_agent_looks_again():
    assert "--file-flush-min-size-kb" not in arguments(Path("envoy.json"), 2)
    assert 0 < flush_seconds() <= FOLLOW


def test_a_heartbeat_proves_nothing_that_envoy_may_not_have_written_while_it_takes_in_a_change():
    longest_change_measured = 0.4
    assert MARGIN.total_seconds() >= 2 * (longest_change_measured + flush_seconds())
