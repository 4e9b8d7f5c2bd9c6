"""The compact form of a rule that a proxy polls (docs/reference/proxy-protocol.md): at most 300 bytes for most."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from chalicelib.domain.rules import WhileStarting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chalicelib.domain.resources import ObservedResource
    from chalicelib.domain.rules import Rule, RuleSpec


def compact_of(rule: Rule, observed: Iterable[ObservedResource]) -> str | None:
    """The compact form of a rule as its proxy is to have it; None for a rule that is on none.

    The address of a resource that was not observed now is the one that it was last seen with: it stays the same for as
    long as the resource exists.
    """
    if rule.spec.load_balancer_id is None:
        return None
    known = {seen.id: seen.private_ip for seen in rule.status.seen}
    known |= {resource.ref.id: resource.private_ip for resource in observed}
    addresses = [known.get(ref.id) for ref in rule.refs]
    return compact_rule(rule.id, rule.spec, [address for address in addresses if address is not None])


def compact_rule(rule_id: str, spec: RuleSpec, addresses: Sequence[str]) -> str:
    """The rule as JSON text; `addresses` are the private addresses of its resources."""
    data: dict[str, object] = {"id": rule_id, "targets": list(addresses)}
    if spec.http:
        data["http"] = [
            {"hosts": list(r.hosts), "paths": list(r.paths), "port": r.listen_port, "target": r.target_port}
            for r in spec.http
        ]
    if spec.tcp:
        data["tcp"] = [{"listen": t.listen_port, "target": t.target_port} for t in spec.tcp]
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


def listen_ports(texts: Iterable[str]) -> frozenset[int]:
    """The ports that a proxy listens on for these compact rules."""
    rules = [json.loads(text) for text in texts]
    http = {route["port"] for rule in rules for route in rule.get("http", ())}
    tcp = {route["listen"] for rule in rules for route in rule.get("tcp", ())}
    return frozenset(http | tcp) - {None}
