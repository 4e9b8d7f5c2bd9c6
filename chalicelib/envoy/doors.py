"""Who gets as far as a TCP listener's filters, where a connection begins to be logged, to wake and to count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def only_from(networks: Iterable[Network]) -> dict[str, Any]:
    """Fields of a filter chain for clients of these networks: Envoy closes those that have no chain at once."""
    ranges = [{"address_prefix": str(network.network_address), "prefix_len": network.prefixlen} for network in networks]
    return {"filter_chain_match": {"source_prefix_ranges": ranges}}
