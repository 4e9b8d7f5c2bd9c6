"""Envoy's configuration from compact rules: the pitfalls of research/envoy.md, each with a test."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.compact import compact_rule
from chalicelib.domain.routes import HttpRoute, TcpRoute
from chalicelib.envoy.clusters import REFUSING_PORT, WARM_UP, clusters, warm_up_cluster
from chalicelib.envoy.compact import CompactError, CompactRule, Http, Redirect, Tcp, parse_rules, parse_states
from chalicelib.envoy.last_resort import local_replies
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


TCP = [{"listen": 1, "target": 1}]


@pytest.mark.parametrize(
    "items",
    [
        None,
        [1],
        [{}],
        [{"id": "x", "targets": []}],
        [{"id": "x", "targets": 3, "tcp": 1}],
        [{"id": "x", "targets": ["db.example.com"], "tcp": TCP}],
        [{"id": "x", "targets": [], "tcp": TCP, "ignore": {"cidrs": ["10.0.0.1/8"]}}],
        [{"id": "x", "targets": [], "tcp": TCP, "ignore": []}, 1],
        [{"id": "x", "targets": [], "tcp": TCP, "health": {"protocol": "tcp", "port": 0}}],
    ],
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
    reads, others = route_configuration(80, [SITE], {"ru_1"})["virtual_hosts"][0]["routes"]
    assert page_groups(reads)[-1] == page_groups(others)[-1] == WARM_UP
    assert "headers" not in others["match"]
    # What runs all the same gets its POST once: it may have acted upon it before it reset the connection.
    assert "reset" not in others["route"]["retry_policy"]["retry_on"].split(",")


def test_domains_are_unique_and_longer_paths_come_first():
    api = CompactRule("ru_3", ("10.0.0.7",), http=(Http(("a.example.com",), ("/api/*",), 80, 80),))
    (host,) = route_configuration(80, [SITE, api])["virtual_hosts"]
    prefixes = [route["match"]["prefix"] for route in host["routes"]]
    assert prefixes == ["/api/"] * 3 + ["/"] * 3


def spoken(protocol: str) -> tuple[dict, list[dict]]:
    """The cluster, and the routes."""
    http = {"hosts": ["a.example.com"], "port": 80, "target": 8080, "protocol": protocol}
    rules = parse_rules([{"id": "ru_1", "targets": ["10.0.0.5"], "http": [http]}])
    (cluster,) = clusters(rules)
    routes = route_configuration(80, rules)["virtual_hosts"][0]["routes"]
    assert {route["route"].get("cluster", cluster["name"]) for route in routes} == {cluster["name"]}
    return cluster, routes


def version_of(cluster: dict) -> set[str]:
    (options,) = cluster["typed_extension_protocol_options"].values()
    return set(options["explicit_http_config"])


@pytest.mark.parametrize(
    ("protocol", "version"),
    [
        ("http", "http_protocol_options"),
        ("https", "http_protocol_options"),
        ("h2c", "http2_protocol_options"),
        ("grpc", "http2_protocol_options"),
    ],
)
def test_a_target_is_spoken_to_as_the_rule_says(protocol, version):
    cluster, _ = spoken(protocol)
    assert version_of(cluster) == {version}
    assert ("transport_socket" in cluster) is (protocol == "https")


def test_no_client_of_grpc_is_shown_a_page():
    assert all("inline_cluster_specifier_plugin" not in route["route"] for route in spoken("grpc")[1])


def test_tcp_to_a_port_that_speaks_tls_is_not_spoken_to_in_tls_by_us():
    http = (Http(("a.example.com",), ("/*",), 443, 8443, "https"),)
    site, shell = clusters([CompactRule("ru_1", ("10.0.0.5",), http, (Tcp(20001, 8443),))])
    assert "transport_socket" in site
    assert "transport_socket" not in shell
    assert shell["name"] == "t-ru_1-8443"


def test_a_protocol_that_we_do_not_know_is_refused():
    with pytest.raises(CompactError):
        spoken("spdy")


def test_both_names_of_http2_are_one_thing_to_the_proxy():
    spec = make_spec(http=(HttpRoute(("a.example.com",), target_protocol="http2", target_port=8080),))
    (rule,) = parse_rules([json.loads(compact_rule("ru_1", spec, []))])
    assert rule.http[0].protocol == "h2c"


def shell_of(**more) -> dict:
    rules = parse_rules([{"id": "ru_2", "targets": ["10.0.0.6"], "tcp": [{"listen": 20001, "target": 22} | more]}])
    (listener,) = listeners(rules, "127.0.0.1", Path("/x/log"), Path("/x/rds"))
    return listener


def test_an_ordinary_tcp_listener_lets_everybody_in_at_once():
    assert "listener_filters" not in shell_of()
    assert "filter_chain_match" not in shell_of()["filter_chains"][0]


def test_where_bytes_wake_a_connection_is_none_before_they_came():
    listener = shell_of(wake_on="bytes")
    assert listener["listener_filters"][0]["name"] == "envoy.filters.listener.tls_inspector"
    assert listener["continue_on_listener_filters_timeout"] is False


def test_only_networks_that_are_allowed_have_a_filter_chain():
    (chain,) = shell_of(allow=["10.0.0.0/8", "2001:db8::/32"])["filter_chains"]
    assert chain["filter_chain_match"]["source_prefix_ranges"] == [
        {"address_prefix": "10.0.0.0", "prefix_len": 8},
        {"address_prefix": "2001:db8::", "prefix_len": 32},
    ]


@pytest.mark.parametrize("more", [{"wake_on": "moon"}, {"allow": ["10.0.0.1/8"]}, {"allow": [None]}])
def test_a_tcp_route_that_we_do_not_understand_is_refused(more):
    with pytest.raises(CompactError):
        shell_of(**more)


def test_what_the_control_plane_says_of_tcp_the_proxy_understands():
    route = TcpRoute("tcp", 5432, 20001, "bytes", ("10.0.0.0/8",))
    text = compact_rule("ru_1", make_spec(tcp=(route,), tcp_idle_bytes=0), [])
    (rule,) = parse_rules([json.loads(text)])
    assert rule.tcp == (Tcp(20001, 5432, "bytes", (ip_network("10.0.0.0/8"),)),)
    assert rule.idle_bytes == 0


def test_an_ordinary_rule_says_nothing_of_what_is_as_always():
    data = json.loads(compact_rule("ru_2", ssh_rule().spec, ["10.0.0.6"]))
    assert data == {"id": "ru_2", "targets": ["10.0.0.6"], "tcp": [{"listen": 20001, "target": 22}]}


@pytest.mark.parametrize(("minutes", "attempts"), [(None, 1200), (1, 120), (60, 7200), (0.001, 1)])
def test_clients_are_held_for_as_long_as_a_start_may_take(minutes, attempts):
    http = {"hosts": ["a.example.com"], "port": 80, "target": 8080}
    start = {} if minutes is None else {"start": minutes}
    rules = parse_rules([{"id": "ru_1", "targets": [], "http": [http], "tcp": TCP} | start])
    tcp = listeners(rules, "127.0.0.1", Path("/x"), Path("/y"))[0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert tcp["max_connect_attempts"] == attempts
    _, *holds = route_configuration(80, rules)["virtual_hosts"][0]["routes"]
    assert {route["route"]["retry_policy"]["num_retries"] for route in holds} == {attempts}


@pytest.mark.parametrize("minutes", [0, -1, 61, "10", None])
def test_no_time_to_hold_clients_for_is_refused(minutes):
    with pytest.raises(CompactError):
        parse_rules([{"id": "ru_1", "targets": [], "tcp": TCP, "start": minutes}])


def test_the_proxy_is_told_of_a_start_only_where_it_is_not_the_usual_one():
    longer = json.loads(compact_rule("ru_1", make_spec(start_timeout=timedelta(minutes=20)), []))
    assert longer["start"] == 20
    assert "start" not in json.loads(compact_rule("ru_1", make_spec(), []))


MOVED = {"hosts": ["a.example.com"], "paths": ["/old"], "port": 80}


def redirect_of(**more) -> dict:
    forward = {"hosts": ["a.example.com"], "port": 80, "target": 8080}
    rules = parse_rules([{"id": "ru_1", "targets": [], "http": [forward], "redirects": [MOVED | more]}])
    (host,) = route_configuration(80, rules)["virtual_hosts"]
    assert host["routes"][0]["match"] == {"path": "/old"}
    assert len(clusters(rules)) == 1
    return host["routes"][0]


@pytest.mark.parametrize(
    ("url", "host", "path", "strip_query"),
    [
        ("https://b.example.com", "b.example.com", "/", True),
        ("http://b.example.com:8080/new", "b.example.com:8080", "/new", True),
        ("https://b.example.com/new?a=b#c", "b.example.com", "/new?a=b#c", False),
        ("https://b.example.com?a=b", "b.example.com", "/?a=b", False),
        ("https://[::1]:8443/%20", "[::1]:8443", "/%20", True),
    ],
)
def test_a_redirect_leads_just_to_its_url_and_names_no_rule_to_the_log(url, host, path, strip_query):
    route = redirect_of(url=url)
    assert route["redirect"] == {
        "scheme_redirect": url.partition(":")[0],
        "host_redirect": host,
        "path_redirect": path,
        "strip_query": strip_query,
        "response_code": "MOVED_PERMANENTLY",
    }
    assert route["metadata"]["filter_metadata"]["autostop"] == {"redirected": "ru_1"}


def test_a_redirect_without_a_url_leads_to_the_same_place_on_https():
    assert redirect_of()["redirect"] == {"https_redirect": True, "response_code": "MOVED_PERMANENTLY"}


@pytest.mark.parametrize("url", ["", "/new", "ftp://b.example.com/", "https://b.example.com/a b", "https://u@b", 7])
def test_a_redirect_to_what_is_no_url_is_refused(url):
    with pytest.raises(CompactError):
        redirect_of(url=url)


def test_a_port_that_only_redirects_is_listened_on():
    rules = parse_rules([{"id": "ru_1", "targets": [], "tcp": TCP, "redirects": [MOVED]}])
    assert [listener["name"] for listener in listeners(rules, "127.0.0.1", Path("/x"), Path("/y"))] == [
        "tcp-1",
        "http-80",
    ]


def test_what_the_control_plane_says_of_redirects_the_proxy_understands():
    old = HttpRoute(("old.example.com",), target_port=None, action="redirect", redirect_url="https://new.example.com/")
    spec = make_spec(http=(*make_spec().http, old, replace(old, hosts=("plain.example.com",), redirect_url=None)))
    (rule,) = parse_rules([json.loads(compact_rule("ru_1", spec, ["10.0.0.5"]))])
    assert [http.hosts for http in rule.http] == [("app.example.com",)]
    assert rule.redirects == (
        Redirect(("old.example.com",), ("/*",), 80, "https://new.example.com/"),
        Redirect(("plain.example.com",), ("/*",), 80, None),
    )
    assert rule.probe.port == 8080


def test_a_host_in_two_spellings_is_one_domain():
    twice = parse_rules([{"id": "ru_1", "targets": [], "http": [{"hosts": ["A.b", "a.B"], "port": 80, "target": 80}]}])
    assert [host["domains"] for host in route_configuration(80, twice)["virtual_hosts"]] == [["a.b"]]


def test_the_agent_is_told_rule_and_client_by_envoy_and_no_secrets():
    (options,) = warm_up_cluster("/x")["typed_extension_protocol_options"].values()
    mutation, codec = options["http_filters"]
    mutations = mutation["typed_config"]["mutations"]["request_mutations"]
    appended = [m["append"] for m in mutations if "append" in m]
    assert {a["header"]["key"]: a["header"]["value"] for a in appended} == {
        "x-autostop-rule": "%METADATA(ROUTE:autostop:rule)%",
        "x-autostop-source": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    }
    assert {a["append_action"] for a in appended} == {"OVERWRITE_IF_EXISTS_OR_ADD"}
    assert {m["remove"] for m in mutations if "remove" in m} >= {"cookie", "authorization"}
    assert codec["name"] == "envoy.filters.http.upstream_codec"


def manager_of(*rules: CompactRule) -> dict:
    (listener,) = listeners(rules, "127.0.0.1", Path("/x/log"), Path("/x/rds"))
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def test_a_client_cannot_choose_its_own_address():
    assert manager_of(SITE)["use_remote_address"] is True


def test_the_log_has_paths_without_their_queries():
    (log,) = manager_of(SITE)["access_log"]
    assert log["typed_config"]["log_format"]["json_format"]["p"].startswith("%PATH(NQ")


def test_browsers_never_meet_an_error_of_envoy_itself():
    (mapper,) = manager_of(SITE)["local_reply_config"]["mappers"]
    assert local_replies() == {"mappers": [mapper]}
    status, accept = mapper["filter"]["and_filter"]["filters"]
    assert status["status_code_filter"]["comparison"]["value"]["default_value"] == 500
    assert accept["header_filter"]["header"]["string_match"] == {"contains": "text/html"}
    assert mapper["status_code"] == 503
    page = mapper["body_format_override"]["text_format_source"]["inline_string"]
    assert 'http-equiv="refresh"' in page
    assert "%" not in page  # Envoy would read it as a command


def test_whose_clients_are_let_go_has_no_cluster_for_a_moment_and_listeners_do_not_change():
    assert clusters([SITE, SHELL], let_go={("ru_2", True)}) == clusters([SITE])
    assert clusters([SITE, SHELL], let_go={(SITE.id, False)}) == clusters([SHELL])
    assert clusters([SITE, SHELL], let_go={(SITE.id, True), ("ru_2", False)}) == clusters([SITE, SHELL])
