"""Envoy's files: rendered from the compact configuration, written atomically in the order that Envoy needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chalicelib.envoy.clusters import clusters
from chalicelib.envoy.listeners import listeners
from chalicelib.envoy.routes import route_configuration

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from chalicelib.agent.settings import Settings
    from chalicelib.envoy.compact import CompactConfig


class XdsFiles:
    """One directory for each kind. A file that would not change is not written: Envoy is not bothered."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._xds = settings.run_dir / "xds"
        self._written: dict[str, list[dict[str, Any]]] = {}
        self._version = 0
        for kind in ("lds", "cds", "rds"):
            (self._xds / kind).mkdir(parents=True, exist_ok=True)

    def write(self, config: CompactConfig, drained: Collection[str], absent: Collection[str]) -> bool:
        """Write what changed: clusters and routes before listeners, removals the other way round."""
        settings = self._settings
        refused = {state.rule for state in config.states.values() if not state.startable}
        rds = self._xds / "rds" / "rds.json"
        ports = sorted({http.port for rule in config.rules for http in rule.http})
        periodic = f"{settings.periodic_seconds:g}s"
        wanted = {
            "cds": clusters(config.rules, drained, absent),
            "rds": [route_configuration(port, config.rules, refused) for port in ports],
            "lds": listeners(config.rules, settings.bind_address, settings.access_log, rds, periodic),
        }
        removing = len(wanted["lds"]) < len(self._written.get("lds", []))
        changed = False
        for kind in ("lds", "rds", "cds") if removing else ("cds", "rds", "lds"):
            if self._written.get(kind) != wanted[kind]:
                self._put(kind, wanted[kind])
                changed = True
        return changed

    def _put(self, kind: str, resources: list[dict[str, Any]]) -> None:
        self._version += 1
        body = {"version_info": str(self._version), "resources": resources}
        atomic_write(self._xds / kind / f"{kind}.json", json.dumps(body))
        self._written[kind] = resources


def atomic_write(path: Path, text: str) -> None:
    """Write beside and rename: a reader sees the old file or the new one, never half of one."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.rename(path)
