"""Envoy's routes for what neither wakes a rule nor counts as its use."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from chalicelib.envoy.compact import CompactRule, Http, Ignore, parse_rules
from chalicelib.envoy.routes import route_configuration
from tests.unit.envoy.test_render import TCP


def ignoring(*paths: str, agents: tuple[str, ...] = (), places: tuple[str, ...] = ("/*",)) -> CompactRule:
    http = (Http(("a.example.com",), places, 80, 8080),)
    return CompactRule("ru_1", ("10.0.0.5",), http, ignore=Ignore(paths, agents))


def ignored_matches(rule: CompactRule) -> list[dict]:
    routes = route_configuration(80, [rule])["virtual_hosts"][0]["routes"]
    return [route["match"] for route in routes if route["metadata"]["filter_metadata"]["autostop"].get("ignored")]


def test_ignored_requests_go_to_the_target_or_fail_at_once_and_name_no_rule():
    route = route_configuration(80, [ignoring("/healthz")])["virtual_hosts"][0]["routes"][0]
    assert route["route"] == {"cluster": "t-ru_1-8080", "timeout": "0s"}
    assert route["metadata"]["filter_metadata"]["autostop"] == {"ignored": "ru_1"}
    assert route["match"] == {"path": "/healthz"}


@pytest.mark.parametrize("starting", ["auto", "hold", "page"])
@pytest.mark.parametrize("refused", [(), ("ru_1",)])
def test_ignored_requests_go_first_whatever_happens_to_the_others(starting, refused):
    rule = replace(ignoring("/healthz", agents=("probe",)), starting=starting)
    routes = route_configuration(80, [rule], refused)["virtual_hosts"][0]["routes"]
    assert [route["metadata"]["filter_metadata"]["autostop"] for route in routes[:3]] == [
        {"ignored": "ru_1"},
        {"ignored": "ru_1"},
        {"rule": "ru_1"},
    ]


@pytest.mark.parametrize(
    ("place", "ignored", "matches"),
    [
        ("/*", "/healthz", [{"path": "/healthz"}]),
        ("/*", "/probe/*", [{"prefix": "/probe/"}]),
        ("/api/*", "/healthz", []),
        ("/api/*", "/*", [{"prefix": "/api/"}]),
        ("/api/*", "/api/*", [{"prefix": "/api/"}]),
        ("/healthz", "/health*", [{"path": "/healthz"}]),
        ("/a", "/a/b", []),
    ],
)
def test_a_path_is_ignored_only_where_it_is_the_rules_own(place, ignored, matches):
    assert ignored_matches(ignoring(ignored, places=(place,))) == matches


def test_ignored_user_agents_are_globs_and_everything_else_in_them_is_literal():
    (match,) = ignored_matches(ignoring(agents=("kube-probe/*", "a.b (x)", "*bot*")))
    (header,) = match["headers"]
    regex = header["string_match"]["safe_regex"]["regex"]
    for agent in ("kube-probe/1.29", "a.b (x)", "Googlebot/2"):
        assert re.fullmatch(regex, agent)
    for agent in ("kube-probe", "aXb (x)", "a.b (x)y", "curl"):
        assert not re.fullmatch(regex, agent)


def test_a_longer_path_of_another_rule_goes_before_what_a_rule_ignores():
    api = CompactRule("ru_3", ("10.0.0.7",), http=(Http(("a.example.com",), ("/api/*",), 80, 80),))
    (host,) = route_configuration(80, [ignoring("/api/health"), api])["virtual_hosts"]
    first_of = {}
    for position, route in enumerate(host["routes"]):
        first_of.setdefault(str(route["metadata"]["filter_metadata"]["autostop"]), position)
    assert first_of["{'rule': 'ru_3'}"] < first_of["{'ignored': 'ru_1'}"] < first_of["{'rule': 'ru_1'}"]


@pytest.mark.parametrize(
    ("client", "ignored"),
    [("10.9.0.1", True), ("10.10.0.1", False), ("2001:db8::1", True), ("::1", False), ("-", False), (None, False)],
)
def test_ignored_networks(client, ignored):
    (rule,) = parse_rules(
        [{"id": "ru_1", "targets": [], "tcp": TCP, "ignore": {"cidrs": ["10.9.0.0/16", "2001:db8::/32"]}}]
    )
    assert rule.ignore.client(client) is ignored
