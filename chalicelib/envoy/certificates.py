"""Certificates as the proxy knows them: for which hosts, and where their two secrets lie. Never what is in them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_TYPES = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"


@dataclass(frozen=True, slots=True)
class CompactCertificate:
    """One pair: the secret of its chain and the secret of its key, which may be one and the same."""

    hosts: tuple[str, ...]
    certificate: str
    private_key: str

    @property
    def name(self) -> str:
        """The name of Envoy's secret: the same for as long as the pair's secrets are the same."""
        return f"c-{sha256(f'{self.certificate} {self.private_key}'.encode()).hexdigest()[:16]}"


def pairs_of(items: Iterable[dict[str, Any]]) -> tuple[CompactCertificate, ...]:
    """The pairs of the configuration, each once. Raises ValueError where a host stands in two of them."""
    hosts_of: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    seen: dict[str, tuple[str, str]] = {}
    for item in items:
        pair = str(item["certificate"]), str(item["private_key"])
        for host in (str(name).lower() for name in item["hosts"]):
            # Two filter chains for one name would make Envoy refuse every host of the port.
            if seen.setdefault(host, pair) != pair:
                raise ValueError(f"{host} has two certificates")
            hosts_of[pair][host] = None
    return tuple(CompactCertificate(tuple(hosts), *pair) for pair, hosts in hosts_of.items())


def secret(name: str, chain: str, key: str) -> dict[str, Any]:
    """Envoy's secret of one pair, both in PEM: one resource, so that Envoy never sees half of a rotation."""
    return {
        "@type": f"{_TYPES}.Secret",
        "name": name,
        "tls_certificate": {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}},
    }


def secret_file(directory: Path, name: str) -> Path:
    """Where Envoy reads a secret."""
    return directory / f"{name}.json"


def downstream_tls(name: str, directory: Path) -> dict[str, Any]:
    """The transport socket of a filter chain with this secret.

    A plain `path`: with `watched_directory`, a rename would make Envoy read the secrets of all the other chains too.
    """
    source = {"path_config_source": {"path": str(secret_file(directory, name))}, "resource_api_version": "V3"}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TYPES}.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "tls_certificate_sds_secret_configs": [{"name": name, "sds_config": source}],
            },
        },
    }
