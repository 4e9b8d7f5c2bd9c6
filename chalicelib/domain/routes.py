"""How a rule's traffic comes in: routes, what counts as up behind them, what of it does not count."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """Hosts and paths on one listen port: `forward` to one target port of the rule's resources, or `redirect`.

    `target_protocol` is http, https (not verified), h2c, http2 (the same as h2c) or grpc.
    A redirect neither wakes nor counts, and needs no target. `redirect_url` None: the same host and path on https.
    """

    hosts: tuple[str, ...]
    paths: tuple[str, ...] = ("/*",)
    listen_protocol: str = "http"
    listen_port: int = 80
    target_protocol: str = "http"
    target_port: int | None = 80
    action: str = "forward"
    redirect_url: str | None = None


@dataclass(frozen=True, slots=True)
class TcpRoute:
    """One target port; `listen_port` is the proxy's, chosen by the user or taken from the pool.

    `wake_on` is connect or bytes (a client that sends nothing does not wake); `allow_cidrs` are the networks that
    clients may come from, none for all.
    """

    protocol: str
    target_port: int
    listen_port: int | None = None
    wake_on: str = "connect"
    allow_cidrs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """When a started rule counts as up. `status` is an inclusive range."""

    protocol: str
    port: int
    path: str = "/"
    status: tuple[int, int] = (200, 399)
    timeout_seconds: int = 4
    interval_seconds: int = 5


@dataclass(frozen=True, slots=True)
class Ignore:
    """Requests that neither wake nor count."""

    paths: tuple[str, ...] = ()
    user_agents: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
