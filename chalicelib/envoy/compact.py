"""The compact configuration that a proxy polls (docs/reference/proxy-protocol.md), parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from chalicelib.envoy.certificates import CompactCertificate, pairs_of

if TYPE_CHECKING:
    from collections.abc import Collection

_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+([/?#][\x21-\x7e]*)?")
"""The control plane judges what a URL to redirect to may be; this is what a header can have."""


_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+")


class CompactError(ValueError):
    """The configuration is not what the protocol says."""


PROTOCOLS = frozenset({"http", "https", "h2c", "grpc"})


@dataclass(frozen=True, slots=True)
class Http:
    """Hosts and paths on one listen port, and what their target speaks, one of PROTOCOLS. `tls`: that port speaks TLS.

    https is HTTP/1.1 in TLS, h2c HTTP/2 without it, grpc the same for clients that are held: none could read a page.
    """

    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    port: int
    target: int
    protocol: str = "http"
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """Hosts and paths on one listen port that the proxy itself answers with 301. `tls`: that port speaks TLS.

    `url` is absolute, http or https; None: the same host and path on https.
    """

    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    port: int
    url: str | None = None
    tls: bool = False


LONGEST_START = 60
Network = IPv4Network | IPv6Network
ANY_BYTES = 1
OPEN = 0
"""Of `CompactRule.idle_bytes`: what any rule has, and that an open connection is in use whatever it moves."""


def within(address: str | None, networks: Collection[Network]) -> bool:
    """Whether an address is in one of the networks; what is no address is not."""
    if not networks or address is None:
        return False
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)


@dataclass(frozen=True, slots=True)
class Tcp:
    """One listen port and the target port behind it.

    `wake_on`: connect or bytes (a client that sends nothing does not wake). `allow`: clients' networks, none for all.
    """

    listen: int
    target: int
    wake_on: str = "connect"
    allow: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """How to tell whether a rule's targets accept. Times in seconds; `status` is an inclusive range.

    `interval` is the pace while nobody waits for the rule.
    """

    protocol: str
    port: int
    path: str = "/"
    status: tuple[int, int] = (200, 399)
    timeout: float = 4
    interval: float = 10


@dataclass(frozen=True, slots=True)
class Ignore:
    """What neither wakes a rule nor counts as its use.

    `paths` may end with `*`; `user_agents` may have `*` anywhere; `networks` are clients'.
    """

    paths: tuple[str, ...] = ()
    user_agents: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    def client(self, address: str | None) -> bool:
        """Whether a client's address is in one of the networks; what is no address is not."""
        return within(address, self.networks)


@dataclass(frozen=True, slots=True)
class CompactRule:
    """A rule as the proxy knows it. `starting`: auto, page or hold.

    `idle_bytes`: so many bytes a minute, both ways, make a TCP connection one that is in use; see ANY_BYTES and OPEN.
    `start_minutes`: for how long clients are held. `names`: DNS names whose addresses are targets too.
    """

    id: str
    targets: tuple[str, ...]
    http: tuple[Http, ...] = ()
    tcp: tuple[Tcp, ...] = ()
    starting: str = "auto"
    health: Probe | None = None
    ignore: Ignore = field(default_factory=Ignore)
    redirects: tuple[Redirect, ...] = ()
    idle_bytes: int = ANY_BYTES
    start_minutes: float = 10
    names: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[Http | Redirect, ...]:
        """Where it is met on HTTP, to forward or to redirect."""
        return (*self.http, *self.redirects)

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


@dataclass(frozen=True)
class CompactConfig:
    """All that a proxy knows; the empty one is what it knows before its first poll.

    `balancers`: the networks of a balancer in front of it, whose connections are nobody until they carry bytes.
    """

    rules: tuple[CompactRule, ...] = ()
    states: dict[str, CompactState] = field(default_factory=dict)
    certificates: tuple[CompactCertificate, ...] = ()
    balancers: tuple[Network, ...] = ()

    @cached_property
    def refused(self) -> frozenset[str]:
        """Rules that traffic may not start."""
        return frozenset(state.rule for state in self.states.values() if not state.startable)

    @cached_property
    def _drains(self) -> dict[str, datetime]:
        return {s.rule: s.drain_until for s in self.states.values() if s.drain_until is not None}

    def is_drained(self, rule_id: str, now: datetime) -> bool:
        """Whether a rule's new connections are diverted now: a drain ends by itself."""
        until = self._drains.get(rule_id)
        return until is not None and until > now

    def drained(self, now: datetime) -> frozenset[str]:
        """Every rule whose new connections are diverted now."""
        return frozenset(rule for rule, until in self._drains.items() if until > now)


def parse_rules(items: Any) -> tuple[CompactRule, ...]:  # noqa: ANN401  (JSON)
    """The rules part. Raises CompactError."""
    try:
        return tuple(_rule(item) for item in items)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CompactError(f"rules: {error!r}") from error


def parse_certificates(items: Any) -> tuple[CompactCertificate, ...]:  # noqa: ANN401  (JSON)
    """The certificates of the rules part. Raises CompactError."""
    try:
        return pairs_of(items)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CompactError(f"certificates: {error!r}") from error


def parse_balancers(items: Any) -> tuple[Network, ...]:  # noqa: ANN401  (JSON)
    """The `balancer_cidrs` of the rules part. Raises CompactError."""
    try:
        return _networks(items)
    except (TypeError, ValueError) as error:
        raise CompactError(f"balancer_cidrs: {error!r}") from error


def parse_states(items: Any) -> dict[str, CompactState]:  # noqa: ANN401  (JSON)
    """The states part, by rule. Raises CompactError."""
    try:
        return {item["rule"]: _state(item) for item in items}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CompactError(f"states: {error!r}") from error


def _rule(data: dict[str, Any]) -> CompactRule:
    rule = CompactRule(
        str(data["id"]),
        # Envoy would refuse an address that is none with every other change of the same file.
        tuple(str(ip_address(str(target))) for target in data["targets"]),
        tuple(_http(route) for route in data.get("http", [])),
        tuple(_tcp(route) for route in data.get("tcp", [])),
        str(data.get("starting", "auto")),
        _probe(data["health"]) if data.get("health") else None,
        _ignore(data.get("ignore") or {}),
        tuple(_redirect(route) for route in data.get("redirects", [])),
        _count(data.get("idle_bytes", ANY_BYTES)),
        _minutes(data.get("start", 10)),
        tuple(_dns_name(name) for name in data.get("names", [])),
    )
    if not rule.http and not rule.tcp:
        raise CompactError(f"{rule.id} has neither http nor tcp")
    return rule


def _http(data: dict[str, Any]) -> Http:
    protocol = data.get("protocol", "http")
    if protocol not in PROTOCOLS:
        raise CompactError(f"{protocol!r} is not what a target speaks")
    return Http(*_place(data), _port(data["target"]), protocol, data.get("tls") is True)


def _tcp(data: dict[str, Any]) -> Tcp:
    wake_on = data.get("wake_on", "connect")
    if wake_on not in {"connect", "bytes"}:
        raise CompactError(f"{wake_on!r} is nothing to wake on")
    return Tcp(_port(data["listen"]), _port(data["target"]), wake_on, _networks(data.get("allow", [])))


def _redirect(data: dict[str, Any]) -> Redirect:
    url = data.get("url")
    if url is not None and not _URL.fullmatch(url):
        raise CompactError(f"{url!r} is not a URL to redirect to")
    return Redirect(*_place(data), url, data.get("tls") is True)


def _place(data: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    # A domain that is there twice, in two spellings, would make Envoy refuse all routes.
    hosts = tuple(dict.fromkeys(str(host).lower() for host in data["hosts"]))
    paths = tuple(str(path) for path in data.get("paths", ["/*"]))
    return hosts, paths, _port(data["port"])


def _probe(data: dict[str, Any]) -> Probe:
    return Probe(
        str(data["protocol"]),
        _port(data["port"]),
        str(data.get("path", "/")),
        (int(data["status"][0]), int(data["status"][1])) if "status" in data else (200, 399),
        float(data.get("timeout", 4)),
        float(data.get("interval", 10)),
    )


def _ignore(data: dict[str, Any]) -> Ignore:
    return Ignore(
        tuple(str(path) for path in data.get("paths", [])),
        tuple(str(agent) for agent in data.get("user_agents", [])),
        _networks(data.get("cidrs", [])),
    )


def _networks(values: list[Any]) -> tuple[Network, ...]:
    return tuple(ip_network(str(value)) for value in values)


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


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise CompactError(f"{value!r} is not a number of bytes")
    return value


def _dns_name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise CompactError(f"{value!r} is not a DNS name")
    return value.lower()


def _minutes(value: object) -> float:
    if not isinstance(value, int | float) or not 0 < value <= LONGEST_START:
        raise CompactError(f"{value!r} minutes are no time to hold clients for")
    return value


def _port(value: object) -> int:
    if not isinstance(value, int) or not 0 < value < 65536:  # noqa: PLR2004
        raise CompactError(f"{value!r} is not a port")
    return value
