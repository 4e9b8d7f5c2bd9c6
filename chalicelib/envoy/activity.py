"""Access-log records to activity: who started, who is held, what was used.

Byte counts are cumulative for a stream, `u` (%UPSTREAM_CONNECTION_ID%) is 0 while it is held, and response flags lie
after a hold, so they are not looked at (research/envoy.md, section 2).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chalicelib.envoy.clusters import WARM_UP

_STARTS = frozenset({"TcpConnectionStart", "DownstreamStart"})
_ENDS = frozenset({"TcpConnectionEnd", "DownstreamEnd"})


@dataclass(frozen=True, slots=True)
class Started:
    """A connection or request began: somebody is there."""

    rule: str
    stream: str
    tcp: bool
    source: str | None
    port: int | None
    host: str | None
    path: str | None


@dataclass(slots=True)
class Minute:
    """What was counted for one rule in one minute."""

    last_at: float | None = None
    requests: int = 0
    connections: int = 0
    open: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(slots=True)
class _Stream:
    rule: str
    tcp: bool
    rx: int = 0
    tx: int = 0
    connected: bool = False


@dataclass(slots=True)
class Activity:
    """Fed with lines as they come; asked for what changed since the last heartbeat.

    `held` maps a TCP stream that has no upstream yet to its Started.
    """

    minutes: dict[tuple[str, str], Minute] = field(default_factory=dict)
    dirty: set[tuple[str, str]] = field(default_factory=set)
    held: dict[str, Started] = field(default_factory=dict)
    malformed: int = 0
    _streams: dict[str, _Stream] = field(default_factory=dict)

    def feed(self, line: bytes) -> Started | None:
        """Take one line of the access log; answers a Started for a start record. Never raises for a bad line."""
        try:
            record = json.loads(line)
            kind, rule, stream = record["ty"], record["r"], record["id"]
            if not (isinstance(rule, str) and isinstance(stream, str) and isinstance(kind, str)):
                return None  # a request for no rule of ours: an unknown host
            at = float(record["t"])
            rx, tx = int(record.get("rx") or 0), int(record.get("tx") or 0)
            if kind in _STARTS:
                return self._start(record, rule, stream, tcp=kind == "TcpConnectionStart")
            served = bool(record.get("u")) and record.get("cl") != WARM_UP
            self._continue(kind, rule, stream, at, rx, tx, served=served)
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            self.malformed += 1
        return None

    def take(self) -> dict[tuple[str, str], Minute]:
        """The minutes that changed since the last call. Minutes long past are forgotten."""
        counts: dict[str, int] = {}
        for stream in self._streams.values():
            counts[stream.rule] = counts.get(stream.rule, 0) + stream.connected
        changed = {key: self.minutes[key] for key in self.dirty}
        for (rule, _), minute in changed.items():
            minute.open = counts.get(rule, 0)
        self.dirty = set()
        if len(self.minutes) > len(changed) + 10000:
            self.minutes = dict(changed)
        return changed

    def give_back(self, keys: set[tuple[str, str]]) -> None:
        """What was taken could not be stored: it is to be taken again."""
        self.dirty |= keys & set(self.minutes)

    def _start(self, record: dict[str, object], rule: str, stream: str, *, tcp: bool) -> Started:
        started = Started(
            rule,
            stream,
            tcp,
            _text(record.get("ip")),
            int(str(record["lp"])) if record.get("lp") else None,
            _text(record.get("h")),
            _text(record.get("p")),
        )
        self._streams[stream] = _Stream(rule, tcp)
        if tcp:
            self.held[stream] = started
        return started

    def _continue(self, kind: str, rule: str, stream: str, at: float, rx: int, tx: int, *, served: bool) -> None:
        known = self._streams.setdefault(stream, _Stream(rule, kind.startswith("Tcp")))
        if served and not known.connected:
            known.connected = True
            self.held.pop(stream, None)
            if known.tcp:
                self._minute(rule, at).connections += 1
        new_in, new_out = max(0, rx - known.rx), max(0, tx - known.tx)
        known.rx, known.tx = rx, tx
        ended = kind in _ENDS
        if ended:
            self._streams.pop(stream, None)
            self.held.pop(stream, None)
        request = ended and not known.tcp
        if not served or not (new_in or new_out or request):
            return
        minute = self._minute(rule, at)
        minute.last_at = max(minute.last_at or at, at)
        minute.bytes_in += new_in
        minute.bytes_out += new_out
        minute.requests += request

    def _minute(self, rule: str, at: float) -> Minute:
        key = (rule, datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M"))
        self.dirty.add(key)
        return self.minutes.setdefault(key, Minute())


def _text(value: object) -> str | None:
    return value[:255] if isinstance(value, str) and value != "-" else None
