"""Addresses of clients, and whose they are."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Network = IPv4Network | IPv6Network


def networks(cidrs: Iterable[str]) -> tuple[Network, ...]:
    """What was validated when it was stored. Raises ValueError."""
    return tuple(ip_network(cidr) for cidr in cidrs)


def within(address: str | None, found: Iterable[Network]) -> bool:
    """Whether an address is in one of the networks; what is no address is in none."""
    try:
        known = ip_address(address or "")
    except ValueError:
        return False
    return any(known in network for network in found)
