"""Who gets as far as a TCP listener's filters, where a connection begins to be logged, to wake and to count."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chalicelib.envoy.compact import Network

SILENCE = "60s"
"""For so long a client may say nothing before it is closed."""


def first_bytes() -> dict[str, Any]:
    """Fields of a listener that waits for a client's first five bytes before it knows of the connection.

    tcp_proxy writes its start record as soon as it has a connection, whatever upstream_connect_mode says. The TLS
    inspector stands before it, looks at a first record's header (five bytes), and leaves them for the target; what is
    no TLS passes as well. Whoever is silent until the time is over is closed and was never there. A client whose whole
    first message has fewer bytes gets no answer (docs/reference/proxy-protocol.md has what was measured).
    """
    inspector = {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}
    return {
        "listener_filters": [{"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}],
        "listener_filters_timeout": SILENCE,
        "continue_on_listener_filters_timeout": False,
    }


@dataclass(frozen=True, slots=True)
class Doors:
    """Whose connections come in by which filter chain. `others` None: everyone who comes by no other chain.

    An empty tuple: there is no such chain, and who would need it is closed by Envoy at once.
    """

    others: tuple[Network, ...] | None
    balancers: tuple[Network, ...]


def doors(allow: Sequence[Network], balancers: Sequence[Network]) -> Doors:
    """Split clients between a balancer's own connections and all others.

    Envoy takes the chain with the longest prefix that an address is in, and refuses a listener with the same prefix in
    two chains. So a network that is allowed and lies within a balancer's belongs to the balancer's chain alone.
    """
    if not allow:
        return Doors(None, tuple(dict.fromkeys(balancers)))
    inner = [network for network in allow if any(_inside(network, balancer) for balancer in balancers)]
    outer = [balancer for balancer in balancers if any(_inside(balancer, network) for network in allow)]
    found = tuple(dict.fromkeys([*outer, *inner]))
    return Doors(tuple(network for network in allow if network not in found), found)


def _inside(network: Network, other: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)


def only_from(networks: Iterable[Network]) -> dict[str, Any]:
    """Fields of a filter chain for clients of these networks: Envoy closes those that have no chain at once."""
    ranges = [{"address_prefix": str(network.network_address), "prefix_len": network.prefixlen} for network in networks]
    return {"filter_chain_match": {"source_prefix_ranges": ranges}}
