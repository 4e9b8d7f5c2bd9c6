"""How a rule's traffic comes in, and what of it counts: routes, health check, what to ignore."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from chalicelib.entrypoints.api.models import (
    Later,
    Port,
    Strict,
)

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
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
    """Where the resources listen."""

    protocol: Annotated[Literal["http"], only("http")] = "http"
    port: Port


class HttpBody(Strict):
    """Hosts and paths of one listen port."""

    hosts: Annotated[list[Host], AfterValidator(distinct)] = Field(min_length=1, max_length=50)
    paths: Annotated[list[Annotated[str, AfterValidator(_path)]], AfterValidator(distinct)] = Field(
        default=["/*"], min_length=1, max_length=50
    )
    listen: ListenBody = ListenBody()
    target: TargetBody
    action: Annotated[Literal["forward"], only("forward")] = "forward"
    redirect_url: Later = None


class TcpBody(Strict):
    """One target port."""

    protocol: Literal["ssh", "rdp", "postgresql", "mysql", "tcp"] = "tcp"
    target_port: Port
    listen_port: Port | None = None


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
    cidrs: list[Annotated[str, AfterValidator(_cidr)]] = Field(default=[], max_length=50)
