"""Listeners: stable, because a changed one drains its connections. What is volatile lives in clusters and routes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalicelib.envoy.certificates import downstream_tls
from chalicelib.envoy.clusters import cluster_name
from chalicelib.envoy.doors import doors, first_bytes, only_from
from chalicelib.envoy.last_resort import local_replies
from chalicelib.envoy.routes import hold_attempts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chalicelib.envoy.certificates import CompactCertificate
    from chalicelib.envoy.compact import CompactRule, Network, Tcp

_TYPES = "type.googleapis.com/envoy"
BALANCER_PERIODIC = "1s"
"""A balancer's connections are nobody until they carry bytes, and only a periodic record tells that they do."""
_KEEPALIVE = {"keepalive_time": 60, "keepalive_interval": 10, "keepalive_probes": 3}


def access_log(path: Path, rule: str) -> list[dict[str, Any]]:
    """The one log that the agent follows; `rule` is the command operator that names the rule."""
    fields = {
        "ty": "%ACCESS_LOG_TYPE%",
        "t": "%EMIT_TIME(%s.%3f)%",
        "id": "%STREAM_ID%",
        "r": rule,
        "rx": "%BYTES_RECEIVED%",
        "tx": "%BYTES_SENT%",
        "u": "%UPSTREAM_CONNECTION_ID%",
        "cl": "%UPSTREAM_CLUSTER%",
        "ip": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "lp": "%DOWNSTREAM_LOCAL_PORT%",
        "h": "%REQ(:AUTHORITY):100%",
        # Without the query: it may hold secrets, and the path goes into the history of wakes.
        "p": "%PATH(NQ:PATH):100%",
    }
    return [
        {
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": f"{_TYPES}.extensions.access_loggers.file.v3.FileAccessLog",
                "path": str(path),
                "log_format": {"json_format": fields},
            },
        }
    ]


@dataclass(frozen=True, slots=True)
class Tls:
    """The pairs that are there, and the directory of their secrets.

    A pair that is not there must not be here: a listener that names a secret without a file is refused whole.
    """

    loaded: tuple[CompactCertificate, ...] = ()
    directory: Path = Path()


def listeners(
    rules: Iterable[CompactRule],
    address: str,
    log: Path,
    rds: Path,
    periodic: str = "60s",
    tls: Tls | None = None,
    balancers: Sequence[Network] = (),
) -> list[dict[str, Any]]:
    """One listener for each TCP listen port, one for each HTTP listen port (`http_ports`).

    `rds` is the directory with a file of routes for each HTTP listen port, `balancers` the networks of a balancer in
    front of us.
    """
    found, tls = list(rules), tls or Tls()
    tcp = [_tcp(rule, t, address, log, periodic, balancers) for rule in found for t in rule.tcp]
    secure = {place.port for rule in found for place in rule.places if place.tls}
    return tcp + [
        _listener(port, address, _manager(port, log, rds, periodic), tls if port in secure else None)
        for port in http_ports(found, tls)
    ]


def http_ports(rules: Iterable[CompactRule], tls: Tls) -> list[int]:
    """The HTTP ports that can be served: one that speaks TLS needs a certificate, whosever it is."""
    return sorted({place.port for rule in rules for place in rule.places if tls.loaded or not place.tls})


def _socket(address: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}


def _tcp(
    rule: CompactRule, tcp: Tcp, address: str, log: Path, periodic: str, balancers: Sequence[Network]
) -> dict[str, Any]:
    """Two filter chains where a balancer is in front of us: Envoy tells of its connections every second."""
    found = doors(tcp.allow, balancers)
    chains = []
    if found.others is None or found.others:
        match = only_from(found.others) if found.others else {}
        chains.append({"name": rule.id, **match, "filters": [_tcp_proxy(rule, tcp, log, periodic)]})
    if found.balancers:
        often = {"name": f"{rule.id}-balancer", **only_from(found.balancers)}
        chains.append(often | {"filters": [_tcp_proxy(rule, tcp, log, BALANCER_PERIODIC)]})
    return {
        "@type": f"{_TYPES}.config.listener.v3.Listener",
        "name": f"tcp-{tcp.listen}",
        "address": _socket(address, tcp.listen),
        "metadata": {"filter_metadata": {"autostop": {"rule": rule.id}}},
        "tcp_keepalive": _KEEPALIVE,
        "per_connection_buffer_limit_bytes": 65536,
        **(first_bytes() if tcp.wake_on == "bytes" else {}),
        "filter_chains": chains,
    }


def _tcp_proxy(rule: CompactRule, tcp: Tcp, log: Path, periodic: str) -> dict[str, Any]:
    return {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": f"{_TYPES}.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": f"tcp-{tcp.listen}",
            "cluster": cluster_name(rule.id, tcp.target),
            "max_connect_attempts": hold_attempts(rule),
            "backoff_options": {"base_interval": "0.5s", "max_interval": "1s"},
            "max_early_data_bytes": 65536,
            "idle_timeout": "86400s",
            "access_log": access_log(log, "%METADATA(LISTENER:autostop:rule)%"),
            "access_log_options": {
                "flush_access_log_on_start": True,
                "flush_access_log_on_connected": True,
                "access_log_flush_interval": periodic,
            },
        },
    }


def _listener(port: int, address: str, manager: dict[str, Any], tls: Tls | None) -> dict[str, Any]:
    listener = {
        "@type": f"{_TYPES}.config.listener.v3.Listener",
        "name": f"{'https' if tls else 'http'}-{port}",
        "address": _socket(address, port),
        "tcp_keepalive": _KEEPALIVE,
    }
    if tls is None:
        return listener | {"filter_chains": [{"filters": [manager]}]}
    inspector = f"{_TYPES}.extensions.filters.listener.tls_inspector.v3.TlsInspector"
    return listener | {
        "listener_filters": [
            {"name": "envoy.filters.listener.tls_inspector", "typed_config": {"@type": inspector}},
        ],
        # A chain for each certificate and not for each rule: a rule that comes or goes changes no listener.
        "filter_chains": [
            {
                "name": pair.name,
                "filter_chain_match": {"server_names": list(pair.hosts)},
                "transport_socket": downstream_tls(pair.name, tls.directory),
                "filters": [manager],
            }
            for pair in tls.loaded
        ],
    }


def _manager(port: int, log: Path, rds: Path, periodic: str) -> dict[str, Any]:
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{_TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": f"http-{port}",
            # The default of 5 minutes would end a hold with 504.
            "stream_idle_timeout": "0s",
            "strip_any_host_port": True,
            # Without it Envoy believes X-Forwarded-For: a client could choose its own address.
            "use_remote_address": True,
            "server_header_transformation": "PASS_THROUGH",
            "local_reply_config": local_replies(),
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "rds": {
                "route_config_name": f"http-{port}",
                "config_source": {
                    "path_config_source": {"path": str(rds / f"http-{port}.json")},
                    "resource_api_version": "V3",
                },
            },
            "access_log": access_log(log, "%METADATA(ROUTE:autostop:rule)%"),
            "access_log_options": {"flush_access_log_on_new_request": True, "access_log_flush_interval": periodic},
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {
                        "@type": f"{_TYPES}.extensions.filters.http.router.v3.Router",
                        "suppress_envoy_headers": True,
                    },
                }
            ],
        },
    }
