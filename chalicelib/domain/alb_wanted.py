"""What the rules on an ALB need of it: listener rules and target groups, from their compact forms. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.domain.alb_packing import host_weight, pack, pack_apart, path_weight
from chalicelib.domain.alb_seen import Probe, Redirect

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ANY_ANSWER = "200-499"
"""Without a health check of the rule's: whatever answers is up."""


@dataclass(frozen=True, slots=True)
class WantedRule:
    """One listener rule. `redirect` None: forward."""

    rule_id: str
    port: int
    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    redirect: Redirect | None = None

    @property
    def weight(self) -> tuple[int, int]:
        """The more specific, the more; of two that overlap the one with more must come first."""
        return max(map(host_weight, self.hosts)), max(map(path_weight, self.paths), default=path_weight("/*"))


@dataclass(frozen=True, slots=True)
class WantedGroup:
    """The target group of a rule. By address: a stopped instance can be registered by its address alone.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html
    """

    rule_id: str
    protocol: str
    port: int
    probe: Probe
    targets: frozenset[tuple[str, int | None]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """All of one rule. `group` None: it only redirects."""

    rule_id: str
    rules: tuple[WantedRule, ...]
    group: WantedGroup | None

    @property
    def fingerprint(self) -> str:
        """Equal for equal wishes."""
        group = self.group
        plain = (self.rules, group and (group.protocol, group.port, group.probe, sorted(map(repr, group.targets))))
        return hashlib.sha256(repr(plain).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Route:
    rule_id: str
    port: int
    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    redirect: Redirect | None


def wanted(texts: Iterable[str]) -> tuple[Wanted, ...]:
    """Of every compact rule of a load balancer, in the order of their ids."""
    rules = sorted((json.loads(text) for text in texts), key=lambda rule: str(rule["id"]))
    routes = [route for rule in rules for route in _routes(rule)]
    return tuple(
        Wanted(
            rule["id"],
            tuple(w for route in routes if route.rule_id == rule["id"] for w in _packed(route, routes)),
            _group(rule),
        )
        for rule in rules
    )


def _routes(rule: dict[str, Any]) -> list[_Route]:
    id_ = rule["id"]
    return [
        _Route(id_, route["port"], tuple(route["hosts"]), tuple(route["paths"]), redirect)
        for part in ("http", "redirects")
        for route in rule.get(part, ())
        for redirect in [None if part == "http" else redirect_to(route.get("url"))]
    ]


def _packed(route: _Route, others: Sequence[_Route]) -> list[WantedRule]:
    # Where nobody else has a say, what is more specific needs not come first, and packs better.
    apart = any(other is not route and other.port == route.port and _meet(route.hosts, other.hosts) for other in others)
    packed = (pack_apart if apart else pack)(route.hosts, route.paths)
    return [WantedRule(route.rule_id, route.port, hosts, paths, route.redirect) for hosts, paths in packed]


def _meet(some: Sequence[str], others: Sequence[str]) -> bool:
    return any(_within(a, b) or _within(b, a) for a in some for b in others)


def _within(host: str, pattern: str) -> bool:
    return host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def redirect_to(url: str | None) -> Redirect:
    """The action for a URL; None: the client's own address, with TLS."""
    if url is None:
        return Redirect()
    scheme, _, rest = url.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    path, _, query = rest[len(authority) :].partition("#")[0].partition("?")
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority, "443" if scheme.lower() == "https" else "80"
    return Redirect(scheme.upper(), port, host, path or "/", query)


def _group(rule: dict[str, Any]) -> WantedGroup | None:
    if not (forwards := rule.get("http")):
        return None
    protocol, port = str(forwards[0].get("protocol", "http")).upper(), int(forwards[0]["target"])
    targets: frozenset[tuple[str, int | None]] = frozenset((address, port) for address in rule["targets"])
    return WantedGroup(rule["id"], protocol, port, _probe(rule.get("health"), protocol, port), targets)


def _probe(check: dict[str, Any] | None, protocol: str, port: int) -> Probe:
    if check is None:
        return Probe(protocol, str(port), "/", ANY_ANSWER, 5, 4)
    first, last = check["status"]
    matcher = str(first) if first == last else f"{first}-{last}"
    return Probe(
        check["protocol"].upper(), str(check["port"]), check["path"], matcher, check["interval"], check["timeout"]
    )
