"""How a rule's traffic comes in, and what of it counts: routes, health check, what to ignore."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from chalicelib.domain.routes import HttpRoute, TcpRoute
from chalicelib.entrypoints.api.models import Port, Strict

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_URL = re.compile(
    rf"https?://({_LABEL}(\.{_LABEL})*|\[[0-9a-f:.]{{2,45}}\])(:[0-9]{{1,5}})?([/?#][\x21-\x7e]*)?", re.IGNORECASE
)
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", re.IGNORECASE)


def _host(value: str) -> str:
    if len(value) > 253 or not _HOST.fullmatch(value):  # noqa: PLR2004
        raise ValueError("is not a host name such as app.example.com or *.example.com")
    return value.lower()


Host = Annotated[str, AfterValidator(_host)]


def _path(value: str) -> str:
    if not re.fullmatch(r"/[\x21-\x7e]{0,254}", value):
        raise ValueError("is not a path such as /api/*")
    if "*" in value[:-1]:
        raise ValueError("may have a * at its end only")
    return value


def _cidr(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise ValueError(f"is not a network in CIDR notation: {error}") from None


Cidr = Annotated[str, AfterValidator(_cidr)]


def _url(value: str) -> str:
    if len(value) > 500 or not _URL.fullmatch(value):  # noqa: PLR2004
        raise ValueError("is not an absolute URL such as https://app.example.com/new, of at most 500 characters")
    return value


def distinct(values: list[Any]) -> list[Any]:
    """For lists in which nothing stands twice."""
    if len(set(values)) != len(values):
        raise ValueError("has the same value twice")
    return values


def only(value: str) -> BeforeValidator:
    """The contract has more values than this version: say which one it takes."""

    def check(given: object) -> object:
        if isinstance(given, str) and given != value:
            raise ValueError(f"only {value} is supported by this version")
        return given

    return BeforeValidator(check)


class ListenBody(Strict):
    """Where clients connect; with https the port is 443 unless it is said."""

    protocol: Literal["http", "https"] = "http"
    port: Port = 80

    @model_validator(mode="before")
    @classmethod
    def _usual_port(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("protocol") == "https":
            return {"port": 443, **value}
        return value


class TargetBody(Strict):
    """Where the resources listen, and what they speak there.

    https: HTTP/1.1 in TLS, the certificate not verified. h2c and http2: HTTP/2 without TLS. grpc: the same, and clients
    are held while it starts, never shown a page.
    """

    protocol: Literal["http", "https", "h2c", "http2", "grpc"] = "http"
    port: Port


class HttpBody(Strict):
    """Hosts and paths of one listen port."""

    hosts: Annotated[list[Host], AfterValidator(distinct)] = Field(min_length=1, max_length=50)
    paths: Annotated[list[Annotated[str, AfterValidator(_path)]], AfterValidator(distinct)] = Field(
        default=["/*"], min_length=1, max_length=50
    )
    listen: ListenBody = ListenBody()
    action: Literal["forward", "redirect"] = "forward"
    target: TargetBody | None = Field(default=None, validate_default=True)
    redirect_url: Annotated[str, AfterValidator(_url)] | None = Field(default=None, validate_default=True)

    @field_validator("target")
    @classmethod
    def _where_to_forward(cls, value: TargetBody | None, info: ValidationInfo) -> TargetBody | None:
        if value is None and info.data.get("action") == "forward":
            raise ValueError("is needed to forward")
        return value

    @field_validator("redirect_url")
    @classmethod
    def _fits_its_action(cls, value: str | None, info: ValidationInfo) -> str | None:
        action, listen = info.data.get("action"), info.data.get("listen")
        if value is not None and action == "forward":
            raise ValueError("is for the action redirect")
        if value is None and action == "redirect" and listen is not None and str(listen.protocol) == "https":
            raise ValueError("is needed on https, where the same address would redirect to itself")
        return value

    def route(self) -> HttpRoute:
        """The route as the domain knows it."""
        target = self.target or TargetBody(port=80)
        return HttpRoute(
            tuple(self.hosts),
            tuple(self.paths),
            self.listen.protocol,
            self.listen.port,
            target.protocol,
            self.target.port if self.target else None,
            self.action,
            self.redirect_url,
        )


class TcpBody(Strict):
    """One target port."""

    protocol: Literal["ssh", "rdp", "postgresql", "mysql", "tcp"] = "tcp"
    target_port: Port
    listen_port: Port | None = None
    wake_on: Literal["connect", "bytes"] = "connect"
    allow_cidrs: Annotated[list[Cidr], AfterValidator(distinct)] = Field(default=[], max_length=50)

    @field_validator("wake_on")
    @classmethod
    def _somebody_speaks_first(cls, value: str, info: ValidationInfo) -> str:
        if value == "bytes" and info.data.get("protocol") in {"ssh", "mysql"}:
            raise ValueError("bytes would wait for ever: with ssh and mysql the server speaks first")
        return value

    def route(self) -> TcpRoute:
        """The route as the domain knows it."""
        return TcpRoute(self.protocol, self.target_port, self.listen_port, self.wake_on, tuple(self.allow_cidrs))


class BytesPerMinute(Strict):
    """From how many bytes a minute, both ways together, a TCP connection is in use. One byte is `any_bytes`."""

    bytes_per_minute: int = Field(ge=2, le=1_000_000_000)


TcpIdle = Literal["any_bytes", "connection"] | BytesPerMinute


def idle_bytes(said: TcpIdle) -> int:
    """What counts as use of a TCP connection as the domain knows it (RuleSpec.tcp_idle_bytes)."""
    return said.bytes_per_minute if isinstance(said, BytesPerMinute) else {"any_bytes": 1, "connection": 0}[said]


class HealthBody(Strict):
    """When a started rule counts as up."""

    protocol: Literal["http", "https", "tcp"]
    port: Port
    path: Annotated[str, AfterValidator(_path)] = "/"
    status: list[Annotated[int, Field(ge=100, le=599)]] = Field(default=[200, 399], min_length=2, max_length=2)
    timeout_seconds: int = Field(default=4, ge=1, le=120)
    interval_seconds: int = Field(default=5, ge=1, le=300)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.timeout_seconds >= self.interval_seconds:
            raise ValueError("timeout_seconds must be less than interval_seconds")
        if self.status[0] > self.status[1]:
            raise ValueError("status must be a range, the lower number first")
        return self


class IgnoreBody(Strict):
    """What neither wakes nor counts."""

    paths: list[Annotated[str, AfterValidator(_path)]] = Field(default=[], max_length=50)
    user_agents: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=50)
    cidrs: list[Cidr] = Field(default=[], max_length=50)
