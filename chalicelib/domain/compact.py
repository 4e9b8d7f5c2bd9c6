"""The compact form of a rule that a proxy polls (docs/reference/proxy-protocol.md): at most 300 bytes for most."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.rules import WhileStarting
from chalicelib.domain.waits import start_timeout

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chalicelib.domain.certificates import Certificate
    from chalicelib.domain.resources import ObservedResource
    from chalicelib.domain.routes import HttpRoute, TcpRoute
    from chalicelib.domain.rules import Rule, RuleSpec


USUAL_START = 10.0
"""Minutes for which a proxy holds clients that it was told nothing else about."""


def compact_of(rule: Rule, observed: Iterable[ObservedResource]) -> str | None:
    """The compact form of a rule as its proxy is to have it; None for a rule that is on none.

    The address of a resource that was not observed now is the one that it was last seen with: it stays the same for as
    long as the resource exists.
    """
    if rule.spec.load_balancer_id is None:
        return None
    known = {seen.id: (seen.private_ip, seen.endpoint) for seen in rule.status.seen}
    known |= {resource.ref.id: (resource.private_ip, resource.endpoint) for resource in observed}
    places = [known.get(ref.id, (None, None)) for ref in rule.refs]
    addresses = [address for address, _ in places if address is not None]
    return compact_rule(rule.id, rule.spec, addresses, [name for _, name in places if name is not None])


def compact_certificates(certificates: Iterable[Certificate]) -> str:
    """Certificates as JSON text: where their secrets lie, never what they hold."""
    data = [
        {"hosts": list(c.hosts), "certificate": c.certificate_secret_arn, "private_key": c.private_key_secret_arn}
        for c in certificates
    ]
    return json.dumps(data, separators=(",", ":"))


def compact_rule(rule_id: str, spec: RuleSpec, addresses: Sequence[str], names: Sequence[str] = ()) -> str:
    """The rule as JSON text; its resources are at these private addresses, or at what these DNS names resolve to."""
    data: dict[str, object] = {"id": rule_id, "targets": list(addresses)}
    if names:
        data["names"] = list(names)
    forwards = [_place(r) | _target(r) for r in spec.http if r.action == "forward"]
    if forwards:
        data["http"] = forwards
    redirects = [
        _place(r) | ({"url": r.redirect_url} if r.redirect_url else {}) for r in spec.http if r.action == "redirect"
    ]
    if redirects:
        data["redirects"] = redirects
    if spec.tcp:
        data["tcp"] = [_tcp(t) for t in spec.tcp]
        if spec.tcp_idle_bytes != 1:
            data["idle_bytes"] = spec.tcp_idle_bytes
    start = start_timeout(spec) / timedelta(minutes=1)
    if start != USUAL_START:
        data["start"] = int(start) if start.is_integer() else start
    if spec.while_starting is not WhileStarting.AUTO:
        data["starting"] = spec.while_starting.value
    if spec.health_check is not None:
        check = spec.health_check
        data["health"] = {
            "protocol": check.protocol,
            "port": check.port,
            "path": check.path,
            "status": list(check.status),
            "timeout": check.timeout_seconds,
            "interval": check.interval_seconds,
        }
    ignore = {
        name: list(values)
        for name, values in (
            ("paths", spec.ignore.paths),
            ("user_agents", spec.ignore.user_agents),
            ("cidrs", spec.ignore.cidrs),
        )
        if values
    }
    if ignore:
        data["ignore"] = ignore
    return json.dumps(data, separators=(",", ":"))


def _place(route: HttpRoute) -> dict[str, object]:
    place: dict[str, object] = {"hosts": list(route.hosts), "paths": list(route.paths), "port": route.listen_port}
    return place | ({"tls": True} if route.listen_protocol == "https" else {})


def _target(route: HttpRoute) -> dict[str, object]:
    # Two names for one thing: HTTP/2 without TLS.
    protocol = "h2c" if route.target_protocol == "http2" else route.target_protocol
    return {"target": route.target_port} | ({} if protocol == "http" else {"protocol": protocol})


def _tcp(route: TcpRoute) -> dict[str, object]:
    data: dict[str, object] = {"listen": route.listen_port, "target": route.target_port}
    if route.wake_on != "connect":
        data["wake_on"] = route.wake_on
    if route.allow_cidrs:
        data["allow"] = list(route.allow_cidrs)
    return data


def listen_ports(texts: Iterable[str]) -> frozenset[int]:
    """The ports that a proxy listens on for these compact rules."""
    rules = [json.loads(text) for text in texts]
    http = {route["port"] for rule in rules for part in ("http", "redirects") for route in rule.get(part, ())}
    tcp = {route["listen"] for rule in rules for route in rule.get("tcp", ())}
    return frozenset(http | tcp) - {None}
