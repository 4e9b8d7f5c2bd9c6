"""Clusters: one for each rule and target port. Addresses may change freely; held connections use the new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.envoy.upstreams import http_options, upstream_protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from chalicelib.envoy.compact import CompactRule

REFUSING = "127.0.0.1"
REFUSING_PORT = 1
"""Nothing listens on tcpmux: a cluster is never empty, because an empty one closes at once instead of holding."""

WARM_UP = "warm-up"
RULE_HEADER = "x-autostop-rule"
SOURCE_HEADER = "x-autostop-source"
_TYPES = "type.googleapis.com/envoy"


def cluster_name(rule_id: str, port: int, protocol: str = "http") -> str:
    """The cluster of a rule's target port. One that speaks something else has another one: TCP may be there too."""
    return f"t-{rule_id}-{port}" if protocol == "http" else f"t-{rule_id}-{port}-{protocol}"


def clusters(
    rules: Iterable[CompactRule],
    drained: Collection[str] = (),
    absent: Collection[str] = (),
    let_go: Collection[tuple[str, bool]] = (),
) -> list[dict[str, Any]]:
    """Every target cluster.

    A drained rule's endpoints are replaced by one that refuses. `absent` rules may not start and are not there: their
    TCP clusters are left out, and Envoy closes their clients at once (flag NC) instead of holding them in vain. So it
    is for a moment with those of `let_go`, a rule and whether it is about TCP: its next attempt lets go whom it holds,
    and who is connected stays.
    """
    made = []
    for rule in rules:
        addresses = () if rule.id in drained else rule.targets
        http = {(route.target, route.protocol) for route in rule.http}
        # A TCP route to a port that speaks HTTP/1.1 has the same cluster.
        tcp = {(route.target, "http") for route in rule.tcp} - http
        if (rule.id, False) not in let_go:
            made += [target_cluster(rule.id, port, addresses, spoken) for port, spoken in sorted(http)]
        if rule.id not in absent and (rule.id, True) not in let_go:
            made += [target_cluster(rule.id, port, addresses, None) for port, _ in sorted(tcp)]
    return made


def target_cluster(rule_id: str, port: int, addresses: Collection[str], spoken: str | None) -> dict[str, Any]:
    """One cluster; `spoken` is None for TCP, or what an HTTP target speaks (compact.PROTOCOLS).

    `connect_timeout`: 0.3 s where a browser waits for a page, 1 s where a client is held or TLS is to be agreed upon.
    """
    endpoints = [_endpoint(address, port) for address in addresses] or [_endpoint(REFUSING, REFUSING_PORT)]
    http = spoken is not None
    name = cluster_name(rule_id, port, spoken or "http")
    cluster: dict[str, Any] = {
        "@type": f"{_TYPES}.config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.3s" if spoken in {"http", "h2c"} else "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "circuit_breakers": _no_breakers(),
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 60, "keepalive_interval": 10, "keepalive_probes": 3}
        },
        # A target that was stopped hard leaves unacknowledged data behind; keepalives do not fire then.
        "upstream_bind_config": {
            "socket_options": [
                {
                    "description": "TCP_USER_TIMEOUT, ms",
                    "level": 6,
                    "name": 18,
                    "int_value": 3000 if http else 10000,
                    "state": "STATE_PREBIND",
                }
            ]
        },
        "per_connection_buffer_limit_bytes": 65536 if not http else 1048576,
        # A dead host stays eligible: with every host ejected Envoy would answer by itself instead of trying.
        "common_lb_config": {"healthy_panic_threshold": {"value": 100}},
    }
    if spoken is not None:
        cluster |= upstream_protocol(spoken)
    return cluster


def warm_up_cluster(socket: str) -> dict[str, Any]:
    """The agent, on its unix socket.

    It is told the rule by Envoy, which has matched the route, and the client by its address. Both overwrite what a
    client sent under these names; what a client sent to prove who it is stays out of the agent.
    """
    pipe = {"endpoint": {"address": {"pipe": {"path": socket}}}}
    mutations = [
        _overwrite(RULE_HEADER, "%METADATA(ROUTE:autostop:rule)%"),
        _overwrite(SOURCE_HEADER, "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
        *({"remove": name} for name in ("cookie", "authorization", "proxy-authorization")),
    ]
    return {
        "name": WARM_UP,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": WARM_UP, "endpoints": [{"lb_endpoints": [pipe]}]},
        "circuit_breakers": _no_breakers(),
        "typed_extension_protocol_options": http_options(
            http_filters=[
                {
                    "name": "envoy.filters.http.header_mutation",
                    "typed_config": {
                        "@type": f"{_TYPES}.extensions.filters.http.header_mutation.v3.HeaderMutation",
                        "mutations": {"request_mutations": mutations},
                    },
                },
                {
                    "name": "envoy.filters.http.upstream_codec",
                    "typed_config": {"@type": f"{_TYPES}.extensions.filters.http.upstream_codec.v3.UpstreamCodec"},
                },
            ]
        ),
    }


def _overwrite(name: str, value: str) -> dict[str, Any]:
    return {"append": {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}


def _endpoint(address: str, port: int) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}


def _no_breakers() -> dict[str, Any]:
    """The defaults hold 3 HTTP requests and 1,024 TCP connections; the listeners' own limits bound us instead."""
    many = 100000
    limits = {"max_connections": many, "max_pending_requests": many, "max_requests": many, "max_retries": many}
    return {"thresholds": [limits]}
