"""Envoy's configuration from compact rules: the pitfalls of research/envoy.md, each with a test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.compact import compact_rule
from chalicelib.envoy.clusters import REFUSING_PORT, WARM_UP, clusters
from chalicelib.envoy.compact import CompactError, CompactRule, Http, Tcp, parse_rules, parse_states
from chalicelib.envoy.listeners import listeners
from chalicelib.envoy.routes import route_configuration
from tests.builders import make_spec, ssh_rule

SITE = CompactRule("ru_1", ("10.0.0.5",), http=(Http(("a.example.com",), ("/*",), 80, 8080),))
SHELL = CompactRule("ru_2", ("10.0.0.6",), tcp=(Tcp(20001, 22),))


def endpoints(cluster: dict) -> list[tuple[str, int]]:
    found = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    return [tuple(e["endpoint"]["address"]["socket_address"].values()) for e in found]


def test_what_the_control_plane_writes_the_proxy_understands():
    text = compact_rule("ru_1", make_spec(), ["10.0.0.5"])
    assert parse_rules([json.loads(text)])[0].http[0].hosts == ("app.example.com",)
    shell = ssh_rule()
    parsed = parse_rules([json.loads(compact_rule("ru_2", shell.spec, ["10.0.0.6"]))])
    assert parsed[0].tcp == (Tcp(20001, 22),)
    assert parsed[0].probe.port == 22


@pytest.mark.parametrize(
    "items", [None, [1], [{}], [{"id": "x", "targets": []}], [{"id": "x", "targets": 3, "tcp": 1}]]
)
def test_what_the_protocol_does_not_know_is_refused_whole(items):
    with pytest.raises(CompactError):
        parse_rules(items)


def test_states_are_parsed_with_their_times():
    states = parse_states(
        [{"rule": "ru_1", "drain_until": "2026-01-01T00:00:00Z"}, {"rule": "ru_2", "startable": False}]
    )
    assert states["ru_1"].drain_until is not None
    assert not states["ru_2"].startable


@given(st.lists(st.ip_addresses(v=4).map(str), max_size=3), st.booleans(), st.booleans())
def test_a_cluster_is_never_empty(targets, drained, absent):
    rules = [CompactRule("ru_1", tuple(targets), SITE.http, SHELL.tcp)]
    made = clusters(rules, {"ru_1"} if drained else (), {"ru_1"} if absent else ())
    assert all(endpoints(cluster) for cluster in made)


def test_a_drained_rule_has_a_refusing_placeholder_and_its_listener_does_not_change():
    (calm,), (drained,) = clusters([SHELL]), clusters([SHELL], {"ru_2"})
    assert endpoints(calm) == [("10.0.0.6", 22)]
    assert endpoints(drained) == [("127.0.0.1", REFUSING_PORT)]
    assert calm["name"] == drained["name"]


def test_what_may_not_start_and_does_not_run_has_no_tcp_cluster_so_nobody_is_held():
    assert clusters([SHELL], absent={"ru_2"}) == []
    assert len(clusters([SITE], absent={"ru_1"})) == 1


def test_the_circuit_breakers_that_would_break_holds_are_raised():
    (limits,) = clusters([SITE])[0]["circuit_breakers"]["thresholds"]
    assert set(limits) == {"max_connections", "max_pending_requests", "max_requests", "max_retries"}
    assert min(limits.values()) >= 100_000


def test_a_tcp_listener_holds_with_back_off_and_notices_dead_clients():
    (listener,) = listeners([SHELL], "127.0.0.1", Path("/x/log"), Path("/x/rds"))
    proxy = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert proxy["backoff_options"]
    assert proxy["max_early_data_bytes"] == 65536
    assert proxy["access_log_options"]["flush_access_log_on_start"]
    assert listener["tcp_keepalive"]
    assert listener["metadata"]["filter_metadata"]["autostop"]["rule"] == "ru_2"


def test_rules_on_one_http_port_share_one_listener_without_a_stream_idle_timeout():
    other = CompactRule("ru_3", ("10.0.0.7",), http=(Http(("b.example.com",), ("/*",), 80, 80),))
    (listener,) = listeners([SITE, other], "127.0.0.1", Path("/x/log"), Path("/x/rds"))
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["stream_idle_timeout"] == "0s"
    assert manager["strip_any_host_port"]


def page_groups(route: dict) -> list[str]:
    specifier = route["route"]["inline_cluster_specifier_plugin"]["extension"]["typed_config"]
    return [group["clusters"][0]["cluster_name"] for group in specifier["priority_groups"]]


def test_browsers_get_the_page_after_two_tries_and_everyone_else_is_held():
    page, reads, hold = route_configuration(80, [SITE])["virtual_hosts"][0]["routes"]
    assert page_groups(page) == ["t-ru_1-8080", "t-ru_1-8080", WARM_UP]
    assert "reset" in reads["route"]["retry_policy"]["retry_on"].split(",")
    # Only what is safe to repeat is repeated after a reset: a POST may have been acted upon.
    assert "reset" not in hold["route"]["retry_policy"]["retry_on"].split(",")
    assert hold["request_body_buffer_limit"]


def test_what_may_not_start_holds_no_request():
    (only,) = route_configuration(80, [SITE], {"ru_1"})["virtual_hosts"][0]["routes"]
    assert page_groups(only)[-1] == WARM_UP
    assert "headers" not in only["match"]


def test_domains_are_unique_and_longer_paths_come_first():
    api = CompactRule("ru_3", ("10.0.0.7",), http=(Http(("a.example.com",), ("/api/*",), 80, 80),))
    (host,) = route_configuration(80, [SITE, api])["virtual_hosts"]
    prefixes = [route["match"]["prefix"] for route in host["routes"]]
    assert prefixes == ["/api/"] * 3 + ["/"] * 3
