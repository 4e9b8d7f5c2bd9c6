"""Which rule a request of an ALB is for, what of it is ignored, and that nothing a client sends breaks the reader."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.compact import compact_rule
from chalicelib.domain.doors import Doors, leads_to
from chalicelib.domain.ignoring import ignored_by
from chalicelib.domain.routes import HttpRoute, Ignore
from chalicelib.entrypoints.alb_events import read
from tests.builders import make_spec

GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/as-lb-1/6d0ecf831eec9f09"


def doors(**rules: HttpRoute) -> Doors:
    return Doors.read(compact_rule(id_, make_spec(http=(route,)), []) for id_, route in rules.items())


def test_the_more_particular_host_wins_then_the_more_particular_path():
    found = doors(
        ru_all=HttpRoute(("*.example.com",)),
        ru_sub=HttpRoute(("*.sub.example.com",)),
        ru_app=HttpRoute(("App.example.com",)),
        ru_api=HttpRoute(("app.example.com",), ("/api/*", "/exact")),
        ru_v2=HttpRoute(("app.example.com",), ("/api/v2*",)),
    )
    wanted = {
        ("x.example.com", "/"): "ru_all",
        ("a.b.example.com", "/"): "ru_all",
        ("y.sub.example.com", "/"): "ru_sub",
        ("app.example.com", "/"): "ru_app",
        ("app.example.com", "/api/x"): "ru_api",
        ("app.example.com", "/api/v2x"): "ru_v2",
        ("app.example.com", "/exact"): "ru_api",
        ("app.example.com", "/exactly"): "ru_app",
        ("app.example.com", "/API/x"): "ru_app",
        ("example.com", "/"): None,
        ("", "/"): None,
    }
    assert {key: found.rule_for(*key) for key in wanted} == wanted


def test_one_host_on_two_listeners_leads_to_two_rules():
    found = doors(ru_80=HttpRoute(("a.example.com",)), ru_443=HttpRoute(("a.example.com",), listen_port=443))
    assert found.rule_for("a.example.com", "/", 80) == "ru_80"
    assert found.rule_for("a.example.com", "/", 443) == "ru_443"
    assert found.rule_for("a.example.com", "/", 8443) is None


HOSTS = st.sampled_from(["a.x", "*.x", "*.a.x", "B.x", "b.x", "x", "y.a.x", ""])
PATHS = st.sampled_from(["/*", "/a", "/a*", "/a/*", "/", "/a/b"])
ROUTES = st.builds(
    HttpRoute,
    st.lists(HOSTS, min_size=1, max_size=3).map(tuple),
    st.lists(PATHS, min_size=1, max_size=3).map(tuple),
    listen_port=st.sampled_from([80, 443]),
    action=st.sampled_from(["forward", "redirect"]),
)


@given(ROUTES, HOSTS, PATHS, st.sampled_from([None, 80, 443]))
def test_a_door_that_is_found_is_one_of_its_rule_and_the_other_way_round(route, host, path, port):
    found = doors(ru_1=route).rule_for(host.lower(), path, port)
    assert (found == "ru_1") is leads_to((route,), host.lower(), path, port)


def test_what_only_redirects_is_no_door():
    assert doors(ru_1=HttpRoute(("a.example.com",), action="redirect", target_port=None)).of == {}


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_host_and_path_have_an_answer(host, path):
    found = doors(ru_1=HttpRoute(("*.example.com",)))
    assert found.rule_for(host, path) == (
        "ru_1" if host.endswith(".example.com") and len(host) <= 253 and path.startswith("/") else None
    )


@given(st.lists(st.sampled_from(["a", "b", "*", ".", "\n"]), max_size=6).map("".join), st.text("ab.\nc", max_size=8))
def test_a_user_agent_pattern_matches_as_a_shell_would(pattern, agent):
    oracle = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), agent, re.DOTALL) is not None
    if pattern:
        assert (ignored_by(Ignore(user_agents=(pattern,)), "/", agent, None) == "user agent") is oracle


def test_no_pattern_is_slow_on_any_user_agent():
    assert ignored_by(Ignore(user_agents=("*a" * 90 + "b",)), "/", "a" * 16_000, None) is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=8,
)
HEADER = st.sampled_from(
    [
        "host",
        "Host",
        "accept",
        "x-forwarded-for",
        "x-forwarded-port",
        "x-forwarded-proto",
        "user-agent",
        "sec-fetch-mode",
    ]
)
TEXT = st.text(st.characters(), max_size=60) | st.sampled_from(
    [
        "app.example.com",
        "a.example.com:99999",
        "[::1]:80",
        "\ud800",
        "é.example.com",
        "a" * 70_000,
        "1.2.3.4, ::1",
        "\r\nx: y",
    ]
)


@given(ANYTHING)
def test_what_is_no_event_of_an_alb_is_told_so(event):
    assert read(event) is None


@given(
    st.fixed_dictionaries(
        {"requestContext": st.just({"elb": {"targetGroupArn": GROUP}})},
        optional={
            "httpMethod": TEXT | ANYTHING,
            "path": TEXT | ANYTHING,
            "headers": st.dictionaries(HEADER | st.text(max_size=9), TEXT | ANYTHING, max_size=6) | ANYTHING,
            "multiValueHeaders": st.dictionaries(HEADER, st.lists(TEXT | ANYTHING, max_size=3) | ANYTHING, max_size=6),
            "queryStringParameters": ANYTHING,
            "multiValueQueryStringParameters": ANYTHING,
            "body": TEXT | ANYTHING,
        },
    )
)
def test_whatever_a_client_sends_is_read_into_something_harmless(event: dict[str, Any]):
    request = read(event)
    assert request is not None
    assert request.load_balancer_id == "lb_1"
    json.dumps([request.path, request.host, request.query]).encode()
    assert request.path.encode()
    url = request.url
    if url is not None:
        assert re.fullmatch(r"https?://[a-z0-9_.-]+(:\d+)?/[\x21-\x7e]*", url)
        assert len(url) <= 8_000


@pytest.mark.parametrize(
    ("header", "source"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("1.1.1.1, 203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("evil, unknown", None),
        ("", None),
    ],
)
def test_the_client_is_the_last_hop(header, source):
    event = {"requestContext": {"elb": {"targetGroupArn": GROUP}}, "headers": {"x-forwarded-for": header}}
    request = read(event)
    assert request is not None
    assert request.source == source


def test_a_host_that_looks_like_a_wildcard_is_nobodys():
    event = {"requestContext": {"elb": {"targetGroupArn": GROUP}}, "headers": {"host": "*.example.com"}}
    request = read(event)
    assert request is not None
    assert request.host == ""
    assert request.url is None


def test_a_target_group_that_is_not_ours_is_not_answered_for():
    for arn in (GROUP.replace("as-lb-1", "other"), GROUP + "\n", "arn:aws:lambda:us-east-1:123456789012:x", None):
        assert read({"requestContext": {"elb": {"targetGroupArn": arn}}}) is None
