"""Envoy's bootstrap and command line: what never changes while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.envoy.clusters import warm_up_cluster

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_PATTERN = 100_000
"""RE2 instructions. The most that the API takes, 50 user agents of 200 characters, are 13,000 (measured)."""

FLUSH_MS = 10
"""How often Envoy writes what it has logged. Half of the agent's own pause between two looks at the log."""


def bootstrap(run: Path, node: str) -> dict[str, Any]:
    """`run` is a directory on tmpfs: sockets, access log and one directory for each kind of resource.

    A directory of its own for each kind, because a rename in a watched one reloads every file in it.
    """

    def source(kind: str) -> dict[str, Any]:
        path = str(run / "xds" / kind / f"{kind}.json")
        return {"path_config_source": {"path": path}, "resource_api_version": "V3"}

    return {
        "node": {"id": node, "cluster": "autostop"},
        "admin": {"address": {"pipe": {"path": str(run / "admin.sock"), "mode": 0o600}}},
        "dynamic_resources": {"lds_config": source("lds"), "cds_config": source("cds")},
        "static_resources": {"clusters": [warm_up_cluster(str(run / "warm-up.sock"))]},
        # The default of 100 refuses three ignored user agents, and with them every route of their port.
        "layered_runtime": {
            "layers": [{"name": "autostop", "static_layer": {"re2.max_program_size.error_level": LARGEST_PATTERN}}]
        },
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.resource_monitors"
                        ".downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": "50000",
                    },
                }
            ]
        },
    }


def arguments(bootstrap_file: Path, concurrency: int) -> list[str]:
    """What follows the name of the binary.

    `--file-flush-interval-msec`: a record is in the file after 7 ms, 15 at most, instead of 10 s. Sooner would be
    `--file-flush-min-size-kb 0`, but then each record is a write of its own that wakes the thread that writes: two for
    each request, which took a third of the requests a second that Envoy passes on (docs/reference/proxy-vm.md).
    `--drain-time-s`: a changed listener lets its connections live for a week instead of ten minutes.
    """
    return [
        "--config-path",
        str(bootstrap_file),
        "--concurrency",
        str(concurrency),
        "--disable-hot-restart",
        "--file-flush-interval-msec",
        str(FLUSH_MS),
        "--drain-time-s",
        "604800",
        "--log-level",
        "warning",
    ]
