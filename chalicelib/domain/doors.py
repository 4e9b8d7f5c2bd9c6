"""Which rule a host and a path belong to, by the compact rules of one load balancer. Pure.

An ALB hands its function no rule: only the target group, which is one per load balancer, and the request. Hosts and
paths are as the API takes them: `*.` in front of a host stands for any labels, `*` at the end of a path for anything.
The more particular one wins, as the ALB's own priorities have it: the exact host before the wildcard, the longer
wildcard before the shorter, then the exact path, then the longer prefix.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.domain.routes import HttpRoute

LONGEST_HOST = 253
MOST_LABELS = 127
"""https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4"""


@dataclass(frozen=True, slots=True)
class Door:
    """One host of a rule, with the paths behind it on one listen port."""

    rule_id: str
    paths: tuple[str, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Doors:
    """All of one load balancer, by host."""

    of: dict[str, tuple[Door, ...]]

    @classmethod
    def read(cls, texts: Iterable[str]) -> Doors:
        """From compact rules as JSON texts (domain.compact). What redirects is left out: nobody is woken there."""
        found: dict[str, list[Door]] = {}
        for text in texts:
            rule = json.loads(text)
            for route in rule.get("http", ()):
                door = Door(rule["id"], tuple(route["paths"]), route["port"])
                for host in route["hosts"]:
                    found.setdefault(host.lower(), []).append(door)
        return cls({host: tuple(doors) for host, doors in found.items()})

    def rule_for(self, host: str, path: str, port: int | None = None) -> str | None:
        """The id of the rule whose door this is. `host` is lower-case, without a port; `port` is the listener's."""
        for name in _names(host):
            best: tuple[tuple[int, int], str] | None = None
            for door in self.of.get(name, ()):
                if port is not None and door.port != port:
                    continue
                for pattern in door.paths:
                    if path_matches(pattern, path):
                        rank = (0 if pattern.endswith("*") else 1, len(pattern))
                        if best is None or rank > best[0]:
                            best = (rank, door.rule_id)
            if best is not None:
                return best[1]
        return None


def leads_to(routes: Iterable[HttpRoute], host: str, path: str, port: int | None = None) -> bool:
    """Whether these routes, a rule's own, have that door: what was read of it a while ago may be old."""
    names = set(_names(host))
    return any(
        route.action == "forward"
        and (port is None or route.listen_port == port)
        and not names.isdisjoint(name.lower() for name in route.hosts)
        and any(path_matches(pattern, path) for pattern in route.paths)
        for route in routes
    )


def path_matches(pattern: str, path: str) -> bool:
    """A path as in /api/* or /exact; case counts."""
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


def _names(host: str) -> Iterable[str]:
    """The host, then the wildcards that it is under, the longest first."""
    if not host or len(host) > LONGEST_HOST:
        return
    yield host
    labels = host.split(".")[: MOST_LABELS + 1]
    for n in range(1, len(labels)):
        yield "*." + ".".join(labels[n:])
