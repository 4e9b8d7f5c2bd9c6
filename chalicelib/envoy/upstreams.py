"""What Envoy speaks to a target over HTTP: the version of it, and TLS."""

from __future__ import annotations

from typing import Any

_TYPES = "type.googleapis.com/envoy"
_HTTP1: dict[str, Any] = {"http_protocol_options": {}}
_HTTP2: dict[str, Any] = {"http2_protocol_options": {}}


def upstream_protocol(spoken: str) -> dict[str, Any]:
    """The fields of a cluster for `spoken`, one of compact.PROTOCOLS.

    The certificate of an https target is not verified: machines that are stopped most of the time have self-signed or
    expired ones, and their addresses are told by AWS, not by a name that could be forged. TLS keeps others in the VPC
    from reading along; it does not prove who answers. The name that the client asked for is sent as SNI.
    """
    options: dict[str, Any] = {"common_http_protocol_options": {"idle_timeout": "30s"}}
    if spoken != "https":
        return {
            "typed_extension_protocol_options": http_options(
                _HTTP2 if spoken in {"h2c", "grpc"} else _HTTP1,
                **options,
            )
        }
    tls = {
        "@type": f"{_TYPES}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["http/1.1"],
            # Envoy's default for what it connects to ends at 1.2, which some targets no longer speak.
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        },
    }
    return {
        "typed_extension_protocol_options": http_options(upstream_http_protocol_options={"auto_sni": True}, **options),
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
    }


def http_options(version: dict[str, Any] = _HTTP1, **more: Any) -> dict[str, Any]:  # noqa: ANN401  (JSON)
    """The extension protocol options of a cluster: HTTP/1.1, unless another version is given."""
    return {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{_TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": version,
            **more,
        }
    }
