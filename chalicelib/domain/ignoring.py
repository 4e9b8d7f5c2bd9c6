"""Whether a request is one that a rule ignores: it neither wakes nor counts. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from chalicelib.domain.doors import path_matches

if TYPE_CHECKING:
    from chalicelib.domain.routes import Ignore


def ignored_by(ignore: Ignore, path: str, user_agent: str, source: str | None) -> str | None:
    """What of the request is ignored, in a word: path, user agent or address; None where nothing is.

    In a user agent `*` stands for anything, and the whole of it must match, as in Envoy (envoy/routes.py).
    `source` is an IP address; what is none is in no network.
    """
    if any(path_matches(pattern, path) for pattern in ignore.paths):
        return "path"
    if any(_glob(pattern).fullmatch(user_agent) for pattern in ignore.user_agents):
        return "user agent"
    return "address" if ignore.cidrs and _within(source, ignore.cidrs) else None


def _within(source: str | None, cidrs: tuple[str, ...]) -> bool:
    try:
        address = ip_address(source or "")
    except ValueError:
        return False
    return any(address in _network(cidr) for cidr in cidrs)


@lru_cache(maxsize=256)
def _network(cidr: str) -> IPv4Network | IPv6Network:
    return ip_network(cidr, strict=False)


@lru_cache(maxsize=256)
def _glob(pattern: str) -> re.Pattern[str]:
    parts = [re.escape(part) for part in re.split(r"\*+", pattern)]
    # Each part is taken at its first place and never given back, so that no pattern is slow on any user agent.
    head, *rest = parts
    if not rest:
        return re.compile(head, re.DOTALL)
    *middle, tail = rest
    return re.compile(head + "".join(f"(?>.*?{part})" for part in middle) + ".*" + tail, re.DOTALL)
