"""Packing into condition values, order among the rules of others, shadows: the pure part of rules on an ALB."""

from __future__ import annotations

import json
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.alb_order import LAST, home, priorities, shadowed
from chalicelib.domain.alb_packing import MOST_VALUES, pack, pack_apart
from chalicelib.domain.alb_pages import not_found_page
from chalicelib.domain.alb_seen import OtherAction, Redirect, SeenRule
from chalicelib.domain.alb_wanted import WantedRule, redirect_to, wanted
from chalicelib.domain.albs import Theme
from chalicelib.domain.errors import ConflictError

NAMES = st.sampled_from([f"{a}.example.com" for a in "abcdefghijkl"] + ["*.example.com", "*.x.example.com"])
PATHS = st.sampled_from(["/*", "/api/*", "/api/v2/*", "/a", "/b", "/c", "/login", "/static/*", "/img/*"])
HOSTS = st.lists(NAMES, min_size=1, max_size=14, unique=True)
SOME_PATHS = st.lists(PATHS, min_size=1, max_size=9, unique=True)


@given(HOSTS, SOME_PATHS, st.sampled_from([pack, pack_apart]))
def test_each_host_has_each_path_once_in_rules_of_at_most_five_values(hosts, paths, packed_by):
    packed = packed_by(hosts, paths)
    assert all(len(h) >= 1 and len(h) + len(p) <= MOST_VALUES for h, p in packed)
    pairs = [pair for h, p in packed for pair in product(h, p or ("/*",))]
    assert len(set(pairs)) == len(pairs)
    whole = {"/*"} if "/*" in paths and packed_by is pack else set(paths)
    assert set(pairs) == set(product(hosts, whole))


@given(HOSTS, SOME_PATHS)
def test_no_equal_split_needs_fewer_rules(hosts, paths):
    if "/*" in paths:
        assert len(pack(hosts, paths)) == -(-len(hosts) // 5)
    else:
        counts = [-(-len(hosts) // n) * -(-len(paths) // (5 - n)) for n in range(1, 5)]
        assert len(pack(hosts, paths)) == min(counts)


def compact(id_, *routes, targets=("10.0.0.1",), **more):
    http = [{"hosts": list(h), "paths": list(p), "port": 80, "target": 8080} for h, p in routes]
    return json.dumps({"id": id_, "targets": list(targets), "http": http} | more)


@given(st.lists(st.tuples(HOSTS, SOME_PATHS), min_size=1, max_size=4))
def test_of_two_rules_that_meet_the_more_specific_one_comes_first(routes):
    """Walked from the top as an ALB does: every request goes where the most specific host, then path, would send it."""
    claimed: set[tuple[str, str]] = set()
    texts = []
    for n, (hosts, paths) in enumerate(routes):
        free = [h for h in hosts if all((h, p) not in claimed for p in paths)]
        if free:
            claimed |= set(product(free, paths))
            texts.append(compact(f"ru_{n}", (free, paths)))
    ours = [rule for wish in wanted(texts) for rule in wish.rules]
    ours.sort(key=lambda rule: tuple(-part for part in rule.weight))
    for host, path in product(
        ["a.example.com", "q.example.com", "q.x.example.com"], ["/a", "/api/v2/x", "/api/q", "/z"]
    ):
        hit = next((rule.rule_id for rule in ours if _takes(rule, host, path)), None)
        assert hit == _expected(routes_of(texts), host, path)


def routes_of(texts):
    return [
        (h, p, rule["id"])
        for rule in map(json.loads, texts)
        for r in rule["http"]
        for h, p in product(r["hosts"], r["paths"])
    ]


def _matches(pattern, value):
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def _takes(rule, host, path):
    return any(_matches(h, host) for h in rule.hosts) and any(_matches(p, path) for p in rule.paths or ("/*",))


def _expected(routes, host, path):
    fits = [(h, p, id_) for h, p, id_ in routes if _matches(h, host) and _matches(p, path)]
    best = max(fits, key=lambda r: ("*" not in r[0], len(r[0]), "*" not in r[1], len(r[1])), default=None)
    return best and best[2]


@given(
    st.lists(st.one_of(st.none(), st.integers(1, 300)), max_size=30),
    st.sets(st.integers(1, 300), max_size=80),
)
def test_priorities_rise_are_free_and_move_only_what_is_out_of_order(have, foreign):
    have = [None if n in foreign or have.index(n) != at else n for at, n in enumerate(have)]
    found = priorities(have, foreign)
    assert len(found) == len(have)
    assert all(a < b for a, b in pairwise(found))
    assert not set(found) & foreign
    assert all(1 <= n <= LAST for n in found)
    known = [n for n in have if n is not None]
    if known == sorted(known) and None not in have:
        assert found == have, "nothing is moved without need"


def test_a_rule_between_two_gets_a_number_between_and_the_others_stay():
    first, between, last = priorities([100, None, 200], set())
    assert (first, last) == (100, 200)
    assert first < between < last


def test_where_there_is_no_number_between_all_of_ours_are_moved():
    found = priorities([7, None, 8], {1})
    assert found == sorted(set(found))
    assert 1 not in found


def test_ours_stand_behind_all_others_where_there_is_room():
    assert home({5, 900}).start == 901
    assert home({5, LAST}) == range(6, LAST)


def test_where_no_room_is_left_it_is_said():
    foreign = set(range(1, LAST - 1))
    with pytest.raises(ConflictError, match="only 2 free priorities"):
        priorities([None, None, None], foreign)


def rule(*hosts, paths=()):
    return WantedRule("ru_1", 80, hosts, paths)


def foreign(hosts=(), paths=(), **more):
    return SeenRule("arn:f", "arn:l", 5, OtherAction(), frozenset(hosts), frozenset(paths), **more)


@pytest.mark.parametrize(
    ("other", "dead"),
    [
        (foreign(["app.example.com"]), ["/*"]),
        (foreign(["APP.example.com"]), ["/*"]),
        (foreign(["*.example.com"]), ["/*"]),
        (foreign(["app?example.com"]), ["/*"]),
        (foreign(paths=["*"]), ["/*"]),
        (foreign(paths=["/*"]), ["/*"]),
        (foreign(["other.example.com"]), []),
        (foreign(["app.example.com"], ["/api/*"]), []),
        (foreign(["app.example.com"], narrowed=True), []),
    ],
)
def test_a_foreign_rule_shadows_ours_only_where_it_takes_all_of_it(other, dead):
    assert [path for _, path, _ in shadowed(rule("app.example.com"), [other])] == dead


def test_a_pattern_of_ours_is_shadowed_by_one_as_wide_only():
    assert [h for h, _, _ in shadowed(rule("*.a.example.com"), [foreign(["*.example.com"])])] == ["*.a.example.com"]
    assert not list(shadowed(rule("*.example.com"), [foreign(["?.example.com"])]))
    assert not list(shadowed(rule("*.example.com"), [foreign(["app.example.com"])]))


@pytest.mark.parametrize(
    ("url", "action"),
    [
        (None, Redirect("HTTPS", "443", "#{host}", "/#{path}", "#{query}")),
        ("https://new.example.com", Redirect("HTTPS", "443", "new.example.com", "/", "")),
        ("http://new.example.com:8080/a?b=c#d", Redirect("HTTP", "8080", "new.example.com", "/a", "b=c")),
    ],
)
def test_a_redirect_is_what_the_proxy_would_answer(url, action):
    assert redirect_to(url) == action


def test_the_page_of_a_listener_has_room_whatever_the_title():
    assert len(not_found_page(Theme(title="<&\"'>" * 100, colour="#ffffff"))) <= 1024
    record = f"*.{'.'.join(['a' * 61] * 4)}. 300 IN CNAME {'b' * 70}.us-east-1.elb.amazonaws.com."
    page = not_found_page(Theme(title="x" * 100), record)
    assert len(page) <= 1024
    assert record in page
    assert "<script" not in not_found_page(Theme(title="<script>"))
