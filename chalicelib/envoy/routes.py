"""Routes: for each rule, host and path the page for browsers and the hold for everyone else."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from chalicelib.envoy.clusters import WARM_UP, cluster_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from chalicelib.envoy.compact import CompactRule, Http

_TYPES = "type.googleapis.com/envoy"
HOLD_ATTEMPTS = 1200
"""Ten minutes of refused attempts at the back-off below."""
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
    places = [(r, h, path) for r in rules for h in r.http if h.port == port for path in h.paths]
    # Envoy takes the first route that matches: the longest path goes first.
    for rule, http, path in sorted(places, key=lambda place: (-len(place[2]), place[0].id)):
        for host in http.hosts:
            by_host[host] += _routes(rule, http, path, may_start=rule.id not in refused)
    return {
        "@type": f"{_TYPES}.config.route.v3.RouteConfiguration",
        "name": f"http-{port}",
        "virtual_hosts": [
            {"name": host, "domains": [host], "routes": routes} for host, routes in sorted(by_host.items())
        ],
    }


def _routes(rule: CompactRule, http: Http, path: str, *, may_start: bool) -> list[dict[str, Any]]:
    match = {"prefix": path[:-1]} if path.endswith("*") else {"path": path}
    metadata = {"filter_metadata": {"autostop": {"rule": rule.id}}}
    target = cluster_name(rule.id, http.target)
    page = {"match": match, "metadata": metadata, "route": _page(target)}
    if rule.starting == "page" or not may_start:
        # The warm-up upstream answers browsers with the page and others with 503, in words.
        return [page]
    hold_reads = {
        "match": {**match, "headers": [_READS]},
        "metadata": metadata,
        "route": _hold(target, f"{_SAFE},reset"),
    }
    hold = {
        "match": match,
        "metadata": metadata,
        "route": _hold(target, _SAFE),
        "request_body_buffer_limit": str(HELD_BODY),
    }
    if rule.starting == "hold":
        return [hold_reads, hold]
    return [{**page, "match": {**match, "headers": _BROWSER}}, hold_reads, hold]


def _page(target: str) -> dict[str, Any]:
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
            "retry_on": f"{_SAFE},reset",
            "num_retries": 2,
            "refresh_cluster_on_retry": True,
            "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"},
        },
    }


def _hold(target: str, retry_on: str) -> dict[str, Any]:
    return {
        "cluster": target,
        "timeout": "0s",
        "retry_policy": {
            "retry_on": retry_on,
            "num_retries": HOLD_ATTEMPTS,
            "retry_back_off": {"base_interval": "0.5s", "max_interval": "1s"},
        },
    }
