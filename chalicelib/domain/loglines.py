"""The log lines of the public contract: agent summaries, heartbeats, raw Envoy access-log lines.

Everything here is hostile until parsed: a line is understood whole, or is a MalformedLineError for the caller to count.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.activity import Heartbeat
from chalicelib.domain.errors import AutoStopError

if TYPE_CHECKING:
    from collections.abc import Mapping

RAW_HEARTBEAT_RULE = "autostop:heartbeat"
RAW_HEARTBEAT_SPAN = timedelta(seconds=45)
"""How much time one heartbeat line of a raw Envoy proves: they come every 30 s, and one and a half is no hole."""

RULE = re.compile(r"ru_[a-z0-9]{1,40}")
LOAD_BALANCER = re.compile(r"lb_[a-z0-9]{1,40}")
MEMBER = re.compile(r"[A-Za-z0-9._-]{1,64}")
MINUTE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
MAX_COUNT = 1 << 53


class MalformedLineError(AutoStopError):
    """A line that the contract does not know; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """What a member counted for one rule in one minute."""

    load_balancer_id: str
    member: str
    seq: int
    rule: str
    minute: str
    last_at: datetime | None
    requests: int
    connections: int
    open: int
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True, slots=True)
class HeartbeatLine:
    """A member's claim to have seen everything in a span; `summaries` lines of its `seq` belong to it."""

    load_balancer_id: str
    beat: Heartbeat
    summaries: int


@dataclass(frozen=True, slots=True)
class RawLine:
    """One access-log line of an Envoy that is not ours. `client`: the address of who came, where the line says it."""

    rule: str
    start_time: datetime
    type: str
    bytes_in: int
    bytes_out: int
    client: str | None = None

    @property
    def silent(self) -> bool:
        """Whether it is about a TCP connection whose client has sent nothing until then."""
        return self.type.startswith("Tcp") and not self.bytes_in


Line = SummaryLine | HeartbeatLine | RawLine


def parse_line(message: str, stream: str) -> Line:
    """Understand one line; `stream` is its log stream, `LOAD_BALANCER/MEMBER` where no line names them."""
    try:
        data = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise MalformedLineError("not JSON") from error
    if not isinstance(data, dict):
        raise MalformedLineError("not a JSON object")
    if "autostop" in data:
        if data["autostop"] != 1:
            raise MalformedLineError("a version that is not 1")
        return _heartbeat(data) if "observed_through" in data else _summary(data)
    return _raw(data, stream)


def _summary(data: Mapping[str, object]) -> SummaryLine:
    last_at = data.get("last_at")
    return SummaryLine(
        _match(data, "proxy", LOAD_BALANCER),
        _match(data, "member", MEMBER),
        _count(data, "seq"),
        _match(data, "rule", RULE),
        _match(data, "minute", MINUTE),
        None if last_at is None else _time(data, "last_at"),
        *(_count(data, name, 0) for name in ("requests", "connections", "open", "bytes_in", "bytes_out")),
    )


def _heartbeat(data: Mapping[str, object]) -> HeartbeatLine:
    config = data.get("config")
    beat = Heartbeat(
        _match(data, "member", MEMBER),
        _count(data, "seq"),
        _time(data, "observed_from"),
        _time(data, "observed_through"),
        hole=data.get("hole") is True,
        config=config if isinstance(config, str) and len(config) <= 64 else None,  # noqa: PLR2004
    )
    return HeartbeatLine(_match(data, "proxy", LOAD_BALANCER), beat, _count(data, "summaries"))


def _raw(data: Mapping[str, object], stream: str) -> HeartbeatLine | RawLine:
    start = _time(data, "start_time")
    if data.get("rule") == RAW_HEARTBEAT_RULE:
        load_balancer_id, _, member = stream.partition("/")
        if not LOAD_BALANCER.fullmatch(load_balancer_id) or not MEMBER.fullmatch(member):
            raise MalformedLineError("a raw heartbeat in a log stream that is not named LOAD_BALANCER/MEMBER")
        # A raw Envoy cannot send again: a hole is passed over, and the proof starts anew behind it.
        beat = Heartbeat(member, 0, start - RAW_HEARTBEAT_SPAN, start, hole=True, raw=True)
        return HeartbeatLine(load_balancer_id, beat, 0)
    kind = data.get("type")
    if not isinstance(kind, str):
        raise MalformedLineError("no type")
    rule = _match(data, "rule", RULE)
    received, sent = _count(data, "bytes_received"), _count(data, "bytes_sent")
    return RawLine(rule, start, kind[:40], received, sent, _address(data.get("downstream_remote_address")))


def _address(value: object) -> str | None:
    """With a port, as %DOWNSTREAM_REMOTE_ADDRESS% has it, or without one. What is no address only is not known."""
    if not isinstance(value, str) or len(value) > 64:  # noqa: PLR2004
        return None
    bare = value[1:].partition("]")[0] if value.startswith("[") else value
    return bare.partition(":")[0] if bare.count(":") == 1 else bare


def _match(data: Mapping[str, object], name: str, pattern: re.Pattern[str]) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise MalformedLineError(f"no valid {name}")
    return value


def _count(data: Mapping[str, object], name: str, default: int | None = None) -> int:
    value = data.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:  # noqa: PLR2004
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MAX_COUNT:
        raise MalformedLineError(f"no valid {name}")
    return value


def _time(data: Mapping[str, object], name: str) -> datetime:
    value = data.get(name)
    if not isinstance(value, str) or len(value) > 40:  # noqa: PLR2004
        raise MalformedLineError(f"no valid {name}")
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise MalformedLineError(f"{name} has no time zone")
        return at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise MalformedLineError(f"no valid {name}") from error
