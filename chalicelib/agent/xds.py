"""Envoy's files: rendered from the compact configuration, written atomically in the order that Envoy needs."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from chalicelib.envoy.clusters import clusters
from chalicelib.envoy.listeners import Tls, http_ports, listeners
from chalicelib.envoy.routes import route_configuration

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from chalicelib.agent.settings import Settings
    from chalicelib.envoy.compact import CompactConfig

KINDS = ("cds", "rds", "lds")


class XdsFiles:
    """One directory for each kind. A file that would not change is not written: Envoy is not bothered."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._xds = settings.run_dir / "xds"
        self._written: dict[str, list[dict[str, Any]]] = {}
        self._earlier: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(dict)
        # Envoy outlives us: a version of ours must not be one of our predecessor's.
        self._life = f"{time.time_ns() // 1_000_000:x}"
        self._number = 0
        self.versions: dict[str, str] = {}
        """What Envoy is to say it has: by `cds`, `lds`, and `rds:NAME` for each route configuration."""
        for kind in KINDS:
            (self._xds / kind).mkdir(parents=True, exist_ok=True)

    def write(
        self,
        config: CompactConfig,
        drained: Collection[str],
        absent: Collection[str],
        loaded: Collection[str] = (),
        let_go: Collection[tuple[str, bool]] = (),
        *,
        again: bool = False,
    ) -> Mapping[str, str]:
        """Write what changed, or all of it `again`: clusters and routes before listeners, removals the other way round.

        `loaded` are the names of the secrets that are there for Envoy to read. Answers the versions. Takes 0.2 s for
        2,000 rules, so it belongs in a thread; one call at a time.
        """
        settings = self._settings
        # Envoy never names the version of routes that no listener asks for: they would never count as taken.
        tls = Tls(tuple(pair for pair in config.certificates if pair.name in loaded), settings.secrets)
        made = [route_configuration(port, config.rules, config.refused) for port in http_ports(config.rules, tls)]
        routes = {f"rds:{routes['name']}": [routes] for routes in made}
        periodic = f"{settings.periodic_seconds:g}s"
        rds = self._xds / "rds"
        wanted = {
            "cds": clusters(config.rules, drained, absent, let_go),
            **routes,
            "lds": listeners(
                config.rules, settings.bind_address, settings.access_log, rds, periodic, tls, config.balancers
            ),
        }
        removing = len(wanted["lds"]) < len(self._written.get("lds", []))
        # A listener whose routes have no file is refused, so new ones go first even then.
        order = [*(name for name in routes if name not in self._written), *reversed(wanted)] if removing else wanted
        for name in dict.fromkeys(order):
            if again or self._written.get(name) != wanted[name]:
                self._put(name, wanted[name])
        for name in self._written.keys() - wanted.keys():
            del self._written[name], self.versions[name]
            self._earlier.pop(name, None)
            self._file(name).unlink(missing_ok=True)
        return dict(self.versions)

    def _put(self, name: str, resources: list[dict[str, Any]]) -> None:
        self._number += 1
        version = f"{self._life}-{self._number}"
        self._store(name, version, resources)
        self._written[name] = resources
        self.versions[name] = version
        self._earlier[name][version] = resources

    def put_back(self, name: str, version: str | None) -> bool:
        """Put the file back as it was at that version, which Envoy has, so that it could begin with it anew.

        What is wanted stays what it was: written again, it is tried again. False where that version is not known.
        """
        known = self._earlier[name]
        if version is None or version not in known:
            return False
        self._store(name, version, known[version])
        return True

    def has(self, versions: Mapping[str, str]) -> None:
        """Envoy has taken these versions: whatever came before them is forgotten."""
        for name, version in versions.items():
            known = self._earlier[name]
            if version in known:
                for older in [one for one in known if int(one.split("-")[1]) < int(version.split("-")[1])]:
                    del known[older]

    def _store(self, name: str, version: str, resources: list[dict[str, Any]]) -> None:
        atomic_write(self._file(name), json.dumps({"version_info": version, "resources": resources}))

    def _file(self, name: str) -> Path:
        """Envoy takes all clusters from one file, and all listeners, but refuses one with two route configurations."""
        kind, _, routes = name.partition(":")
        return self._xds / kind / f"{routes or kind}.json"


def atomic_write(path: Path, text: str, *, durable: bool = False) -> None:
    """Write beside and rename: a reader sees the old file or the new one, never half of one.

    `durable`: the content is on the disk before the name is. Else XFS, which Amazon Linux has, may be left with an
    empty file in place of the old one when the machine loses its power.
    """
    beside = path.with_name(f".{path.name}.new")
    with beside.open("w") as out:
        out.write(text)
        if durable:
            out.flush()
            os.fsync(out.fileno())
    beside.rename(path)
