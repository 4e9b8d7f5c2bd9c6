"""Routes: for each rule, host and path the page for browsers and the hold for everyone else."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from chalicelib.envoy.clusters import WARM_UP, cluster_name
from chalicelib.envoy.compact import Redirect
from chalicelib.envoy.redirects import redirect_route

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from chalicelib.envoy.compact import CompactRule, Http

_TYPES = "type.googleapis.com/envoy"
ATTEMPTS_A_MINUTE = 120
"""Refused ones, at the back-off below: it is half a second on average. In a black hole each takes the cluster's
connect_timeout as well, and Envoy has no other bound that would not also cut what has been spliced (research/envoy.md,
section 1): there the agent lets go, and only without it a hold lasts up to three times as long."""
HELD_BODY = 16 * 1024 * 1024
_SAFE = "connect-failure,refused-stream,reset-before-request"
_READS = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
_BROWSER = [
    _READS,
    {"name": "accept", "string_match": {"contains": "text/html"}},
    {"name": "upgrade", "present_match": True, "invert_match": True},
]


def route_configuration(port: int, rules: Iterable[CompactRule], refused: Collection[str] = ()) -> dict[str, Any]:
    """The virtual hosts of one HTTP listen port. `refused` rules may not start: nobody is held for them."""
    by_host: dict[str, list[dict[str, Any]]] = defaultdict(list)
    places = [(r, h, path) for r in rules for h in r.places if h.port == port for path in h.paths]
    # Envoy takes the first route that matches: the longest path goes first.
    for rule, place, path in sorted(places, key=lambda place: (-len(place[2]), place[0].id)):
        for host in place.hosts:
            if isinstance(place, Redirect):
                by_host[host].append(redirect_route(rule.id, place, _match(path)))
            else:
                by_host[host] += _routes(rule, place, path, may_start=rule.id not in refused)
    return {
        "@type": f"{_TYPES}.config.route.v3.RouteConfiguration",
        "name": f"http-{port}",
        "virtual_hosts": [
            {"name": host, "domains": [host], "routes": routes} for host, routes in sorted(by_host.items())
        ],
    }


def _routes(rule: CompactRule, http: Http, path: str, *, may_start: bool) -> list[dict[str, Any]]:
    match = _match(path)
    metadata = {"filter_metadata": {"autostop": {"rule": rule.id}}}
    target, attempts = cluster_name(rule.id, http.target, http.protocol), hold_attempts(rule)
    # Only what is safe to repeat is repeated after a reset: a POST may have been acted upon.
    page_reads = {"metadata": metadata, "route": _page(target, f"{_SAFE},reset")}
    hold_reads = {
        "match": {**match, "headers": [_READS]},
        "metadata": metadata,
        "route": _hold(target, f"{_SAFE},reset", attempts),
    }
    hold = {
        "match": match,
        "metadata": metadata,
        "route": _hold(target, _SAFE, attempts),
        "request_body_buffer_limit": str(HELD_BODY),
    }
    ignored = _ignored(rule, path, target)
    starting = "hold" if http.protocol == "grpc" else rule.starting
    if starting == "page" or not may_start:
        # The warm-up upstream answers browsers with the page and others with 503, in words.
        page = {"match": match, "metadata": metadata, "route": _page(target, _SAFE)}
        return [*ignored, {**page_reads, "match": {**match, "headers": [_READS]}}, page]
    if starting == "hold":
        return [*ignored, hold_reads, hold]
    return [*ignored, {**page_reads, "match": {**match, "headers": _BROWSER}}, hold_reads, hold]


def _ignored(rule: CompactRule, path: str, target: str) -> list[dict[str, Any]]:
    """Routes of what the rule ignores within one of its paths: the target's answer, or 503 at once.

    They carry no rule, so they neither wake nor count. They stand right before the path's own routes: a longer path
    of another rule on the same host still goes first.
    """
    narrowed = (_narrower(path, ignored) for ignored in rule.ignore.paths)
    matches = [_match(pattern) for pattern in dict.fromkeys(narrowed) if pattern is not None]
    if rule.ignore.user_agents:
        agents = "|".join(_glob(agent) for agent in rule.ignore.user_agents)
        header = {"name": "user-agent", "string_match": {"safe_regex": {"regex": agents}}}
        matches.append({**_match(path), "headers": [header]})
    metadata = {"filter_metadata": {"autostop": {"ignored": rule.id}}}
    return [{"match": match, "metadata": metadata, "route": {"cluster": target, "timeout": "0s"}} for match in matches]


def _match(path: str) -> dict[str, Any]:
    return {"prefix": path[:-1]} if path.endswith("*") else {"path": path}


def _narrower(one: str, other: str) -> str | None:
    """What both patterns match, as a pattern; None where they have nothing in common."""
    if one == other or (other.endswith("*") and one.startswith(other[:-1])):
        return one
    return other if one.endswith("*") and other.startswith(one[:-1]) else None


def _glob(pattern: str) -> str:
    """`*` as RE2 (the whole value must match); everything else stands for itself."""
    return ".*".join(re.escape(part) for part in pattern.split("*"))


def _page(target: str, retry_on: str) -> dict[str, Any]:
    """Twice the target, then the warm-up upstream: the second attempt covers a lost SYN."""
    groups = [(f"g{n}", name) for n, name in enumerate((target, target, WARM_UP))]
    return {
        "timeout": "0s",
        "inline_cluster_specifier_plugin": {
            "extension": {
                "name": "priority_group",
                "typed_config": {
                    "@type": f"{_TYPES}.extensions.router.cluster_specifiers.priority_group.v3"
                    ".PriorityGroupClusterSpecifier",
                    "priority_groups": [
                        {"name": name, "clusters": [{"cluster_name": cluster, "weight": 1}]} for name, cluster in groups
                    ],
                },
            }
        },
        "retry_policy": {
            "retry_on": retry_on,
            "num_retries": 2,
            "refresh_cluster_on_retry": True,
            "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"},
        },
    }


def hold_attempts(rule: CompactRule) -> int:
    """After how many failed attempts whoever waits for a start is let go."""
    return max(1, round(rule.start_minutes * ATTEMPTS_A_MINUTE))


def _hold(target: str, retry_on: str, attempts: int) -> dict[str, Any]:
    return {
        "cluster": target,
        "timeout": "0s",
        "retry_policy": {
            "retry_on": retry_on,
            "num_retries": attempts,
            "retry_back_off": {"base_interval": "0.5s", "max_interval": "1s"},
        },
    }
