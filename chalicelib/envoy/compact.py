"""The compact configuration that a proxy polls (docs/reference/proxy-protocol.md), parsed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


class CompactError(ValueError):
    """The configuration is not what the protocol says."""


@dataclass(frozen=True, slots=True)
class Http:
    """Hosts and paths on one listen port."""

    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    port: int
    target: int


@dataclass(frozen=True, slots=True)
class Tcp:
    """One listen port and the target port behind it."""

    listen: int
    target: int


@dataclass(frozen=True, slots=True)
class Probe:
    """How to tell whether a rule's targets accept. Times in seconds; `status` is an inclusive range."""

    protocol: str
    port: int
    path: str = "/"
    status: tuple[int, int] = (200, 399)
    timeout: float = 4


@dataclass(frozen=True, slots=True)
class CompactRule:
    """A rule as the proxy knows it. `starting`: auto, page or hold."""

    id: str
    targets: tuple[str, ...]
    http: tuple[Http, ...] = ()
    tcp: tuple[Tcp, ...] = ()
    starting: str = "auto"
    health: Probe | None = None

    @property
    def probe(self) -> Probe:
        """The health check, or a connection to the first target port."""
        if self.health is not None:
            return self.health
        port = self.http[0].target if self.http else self.tcp[0].target
        return Probe("tcp", port)


@dataclass(frozen=True, slots=True)
class CompactState:
    """What is not ordinary about a rule."""

    rule: str
    drain_until: datetime | None = None
    startable: bool = True
    reason: str | None = None
    detail: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class CompactConfig:
    """All that a proxy knows; the empty one is what it knows before its first poll."""

    rules: tuple[CompactRule, ...] = ()
    states: dict[str, CompactState] = field(default_factory=dict)

    def drained(self, now: datetime) -> frozenset[str]:
        """Rules whose new connections are diverted now: a drain ends by itself."""
        return frozenset(s.rule for s in self.states.values() if s.drain_until is not None and s.drain_until > now)


def parse_rules(items: Any) -> tuple[CompactRule, ...]:  # noqa: ANN401  (JSON)
    """The rules part. Raises CompactError."""
    try:
        return tuple(_rule(item) for item in items)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CompactError(f"rules: {error!r}") from error


def parse_states(items: Any) -> dict[str, CompactState]:  # noqa: ANN401  (JSON)
    """The states part, by rule. Raises CompactError."""
    try:
        return {item["rule"]: _state(item) for item in items}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CompactError(f"states: {error!r}") from error


def _rule(data: dict[str, Any]) -> CompactRule:
    health = data.get("health")
    rule = CompactRule(
        str(data["id"]),
        tuple(str(target) for target in data["targets"]),
        tuple(
            Http(tuple(h["hosts"]), tuple(h.get("paths", ["/*"])), _port(h["port"]), _port(h["target"]))
            for h in data.get("http", [])
        ),
        tuple(Tcp(_port(t["listen"]), _port(t["target"])) for t in data.get("tcp", [])),
        str(data.get("starting", "auto")),
        health
        and Probe(
            str(health["protocol"]),
            _port(health["port"]),
            str(health.get("path", "/")),
            (int(health["status"][0]), int(health["status"][1])) if "status" in health else (200, 399),
            float(health.get("timeout", 4)),
        ),
    )
    if not rule.http and not rule.tcp:
        raise CompactError(f"{rule.id} has neither http nor tcp")
    return rule


def _state(data: dict[str, Any]) -> CompactState:
    return CompactState(
        str(data["rule"]),
        _time(data.get("drain_until")),
        data.get("startable", True) is not False,
        data.get("reason"),
        data.get("detail"),
        _time(data.get("until")),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _port(value: object) -> int:
    if not isinstance(value, int) or not 0 < value < 65536:  # noqa: PLR2004
        raise CompactError(f"{value!r} is not a port")
    return value
