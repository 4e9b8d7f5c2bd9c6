"""The compact form of a rule that a proxy polls (docs/reference/proxy-protocol.md): at most 300 bytes for most."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from chalicelib.domain.rules import WhileStarting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.rules import RuleSpec


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
