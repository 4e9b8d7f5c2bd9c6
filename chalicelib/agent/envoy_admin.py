"""What we ask Envoy itself, on its admin socket."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import aiohttp

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_UPDATES = r"^(cluster_manager\.cds|listener_manager\.lds|http\..*\.rds\..*)\.(version_text|update_(rejected|failure))$"
_WRITES = r"^filesystem\.write_failed$"
_STATE = r"^server\.state$"
_LIVE = "0"
"""https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/statistics (server.state)"""
_RDS = re.compile(r"http\..*\.rds\.(.*)")
_LONGEST_WORDS = 1000


class EnvoySilentError(Exception):
    """Envoy does not answer: it is not there, or no more, or not yet."""


@dataclass(frozen=True, slots=True)
class Update:
    """How far Envoy is with one file: the version in force, and how often it refused one since it runs."""

    version: str = ""
    refused: int = 0


class EnvoyAdmin(Protocol):
    """Every method raises EnvoySilentError and nothing else."""

    async def updates(self) -> dict[str, Update]:
        """By `cds`, `lds`, and `rds:NAME` for each route configuration that a listener uses."""
        ...

    async def refused_listeners(self) -> list[str]:
        """Envoy's own words about the listeners that it refused."""
        ...

    async def failed_writes(self) -> int:
        """How many writes of the access log failed since Envoy runs: lines that nobody will read."""
        ...

    async def is_live(self) -> bool:
        """Whether it has read what it starts with and serves."""
        ...

    async def reopen_logs(self) -> None:
        """Go on with a new file where the log was renamed."""
        ...


class SocketAdmin:
    """EnvoyAdmin on the unix socket of the bootstrap. A connection a call: Envoy may have been restarted."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def updates(self) -> dict[str, Update]:
        text = await self._call("GET", f"/stats?filter={quote(_UPDATES)}")
        found: dict[str, Update] = {}
        for name, value in _stats(text):
            part, _, stat = name.rpartition(".")
            kind = {"cluster_manager.cds": "cds", "listener_manager.lds": "lds"}.get(part)
            if kind is None:
                routes = _RDS.fullmatch(part)
                kind = f"rds:{routes[1]}" if routes else part
            old = found.get(kind, Update())
            if stat == "version_text":
                found[kind] = Update(value.strip('"'), old.refused)
            else:
                found[kind] = Update(old.version, old.refused + _count(value))
        return found

    async def refused_listeners(self) -> list[str]:
        text = await self._call("GET", "/config_dump?resource=dynamic_listeners&mask=name,error_state.details")
        return [f"{name}: {details}"[:_LONGEST_WORDS] for name, details in _errors(text)]

    async def failed_writes(self) -> int:
        text = await self._call("GET", f"/stats?filter={quote(_WRITES)}")
        return sum(_count(value) for _, value in _stats(text))

    async def is_live(self) -> bool:
        # Not /ready: it answers 503 before that, which is no silence.
        text = await self._call("GET", f"/stats?filter={quote(_STATE)}")
        return any(value == _LIVE for _, value in _stats(text))

    async def reopen_logs(self) -> None:
        await self._call("POST", "/reopen_logs")

    async def _call(self, method: str, path: str) -> str:
        try:
            connector = aiohttp.UnixConnector(str(self._socket))
            async with (
                aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session,
                session.request(method, f"http://envoy{path}") as answer,
            ):
                answer.raise_for_status()
                return await answer.text()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EnvoySilentError(f"Envoy does not answer on {self._socket}: {error}") from error


def _stats(text: str) -> list[tuple[str, str]]:
    lines = (line.partition(": ") for line in text.splitlines())
    return [(name, value) for name, colon, value in lines if colon]


def _count(value: str) -> int:
    return int(value) if value.isdecimal() else 0


def _errors(text: str) -> list[tuple[str, str]]:
    """Name and words of each resource that has an error; one that never was in force has no name of its own."""
    found: list[tuple[str, str]] = []
    try:
        dumped: list[dict[str, Any]] = json.loads(text).get("configs", [])
    except ValueError as error:
        raise EnvoySilentError(f"Envoy's answer is no JSON: {error}") from error
    for config in dumped:
        details = config.get("error_state", {}).get("details")
        if details and all(details != known for _, known in found):
            found.append((str(config.get("name", "a listener")), str(details)))
    return found
