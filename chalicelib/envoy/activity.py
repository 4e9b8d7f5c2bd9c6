"""Access-log records to activity: who started, who is held, what was used.

Byte counts are cumulative for a stream, `u` (%UPSTREAM_CONNECTION_ID%) is 0 while it is held, and response flags lie
after a hold, so they are not looked at (research/envoy.md, section 2).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from chalicelib.envoy.clusters import WARM_UP
from chalicelib.envoy.compact import OPEN, within

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from chalicelib.envoy.compact import Ignore, Network

_STARTS = frozenset({"TcpConnectionStart", "DownstreamStart"})
_ENDS = frozenset({"TcpConnectionEnd", "DownstreamEnd"})
_MINUTES_KEPT = 10_000
MOST_OPEN = 10_000
"""Of so many streams a checkpoint tells; the bytes of others between two checkpoints are lost with a kill."""
WINDOW = 59.0
"""Seconds after which a minute is over: Envoy's records of once a minute may come a little early."""


@dataclass(frozen=True, slots=True)
class Started:
    """A connection or request that has begun: somebody is there. `at` is Envoy's clock, seconds since 1970."""

    rule: str
    stream: str
    tcp: bool
    at: float
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
    heard: float
    rx: int = 0
    tx: int = 0
    connected: bool = False
    since: float | None = None
    moved: int = 0
    spoken: bool = True
    began: float | None = None

    def as_list(self) -> list[Any]:
        """Its fields in their order, as asdict is twenty times as slow."""
        counted = [self.rx, self.tx, self.connected, self.since, self.moved]
        return [self.rule, self.tcp, self.heard, *counted, self.spoken, self.began]

    def busy(self, at: float, new: int, least: int) -> bool:
        """Whether it has moved `least` bytes a minute since it was last asked that, or since the minute began.

        `new` bytes have come since the last record. Records come once a period and at the end, which may be at once
        after a record: only whole minutes are looked at, so that a few bytes in a short while are no rate.
        """
        if self.since is None:
            self.since = self.heard
        self.moved += new
        minutes = max(1, round((at - self.since) / 60))
        busy = self.moved >= least * minutes
        if busy or at - self.since >= WINDOW:
            self.since, self.moved = at, 0
        return busy


@dataclass(slots=True)  # not frozen: that would cost a tenth of all the time a line takes
class _Record:
    """One line of the access log. `served`: it has an upstream, and that is no page of ours."""

    kind: str
    rule: str
    stream: str
    at: float
    rx: int
    tx: int
    served: bool
    source: str | None
    port: int | None
    host: str | None
    path: str | None

    @property
    def tcp(self) -> bool:
        return self.kind.startswith("Tcp")

    @property
    def started(self) -> Started:
        return Started(self.rule, self.stream, self.tcp, self.at, self.source, self.port, self.host, self.path)


@dataclass(slots=True)
class Activity:
    """Fed with lines as they come; asked for what changed since the last heartbeat.

    `ignored` tells by rule which clients do not count: their records are dropped. `idle_bytes` has the rules whose TCP
    connections are in use otherwise than by any byte (CompactRule.idle_bytes). `held` maps each stream that has
    neither an upstream nor an end to its Started; an HTTP request that a target takes long to answer is there too,
    because Envoy tells of its upstream only at the next periodic record. `balancers` are the networks of a balancer in
    front of us: a TCP connection from there is nobody, whatever its target says, until its client has sent a byte.
    """

    ignored: Mapping[str, Ignore] = field(default_factory=dict)
    idle_bytes: Mapping[str, int] = field(default_factory=dict)
    balancers: Collection[Network] = ()
    minutes: dict[tuple[str, str], Minute] = field(default_factory=dict)
    dirty: set[tuple[str, str]] = field(default_factory=set)
    held: dict[str, Started] = field(default_factory=dict)
    malformed: int = 0
    _streams: dict[str, _Stream] = field(default_factory=dict)

    def feed(self, line: bytes) -> Started | None:
        """Take one line of the access log; answers a Started when somebody has come. Never raises for a bad line.

        That is a start record or, from a balancer's networks, the first record that has a byte of the client's.
        """
        try:
            record = _parse(line)
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            self.malformed += 1
            return None
        if record is None:
            return None
        ignore = self.ignored.get(record.rule)
        if ignore is not None and ignore.client(record.source):
            self._end(record.stream)
            return None
        if self.balancers and record.tcp and within(record.source, self.balancers):
            return self._from_balancer(record)
        if record.kind in _STARTS:
            self._streams[record.stream] = _Stream(record.rule, record.tcp, record.at, began=record.at)
            self.held[record.stream] = record.started
            return self.held[record.stream]
        self._continue(record)
        return None

    def used(self, rule: str, at: float) -> None:
        """A rule that is up was asked for something: its use begins now, not with the first record of an answer."""
        minute = self._minute(rule, at)
        minute.last_at = max(minute.last_at or at, at)

    def take(self) -> dict[tuple[str, str], Minute]:
        """The minutes that changed since the last call. Minutes long past are forgotten."""
        counts: dict[str, int] = {}
        for stream in self._streams.values():
            counts[stream.rule] = counts.get(stream.rule, 0) + stream.connected
        changed = {key: self.minutes[key] for key in self.dirty}
        for (rule, _), minute in changed.items():
            minute.open = counts.get(rule, 0)
        self.dirty = set()
        if len(self.minutes) > len(changed) + _MINUTES_KEPT:
            self.minutes = dict(changed)
        return changed

    def forget_silent(self, before: float, period: float = 0.0) -> int:
        """Drop streams not heard of since then, and say how many.

        Envoy tells of each stream once a `period`: those that it says nothing of died with an Envoy that was killed.
        What they did since their last record nobody knows any more: it counts as use, until they had to be heard again.
        """
        silent = {id_: stream for id_, stream in self._streams.items() if stream.heard < before}
        for id_, stream in silent.items():
            if stream.connected:
                self.used(stream.rule, stream.heard + period)
            self._end(id_)
        return len(silent)

    def open_streams(self) -> dict[str, list[Any]]:
        """What is known of each stream, as JSON, for a checkpoint; of the newest where they are too many."""
        newest = list(self._streams.items())[-MOST_OPEN:]
        return {id_: stream.as_list() for id_, stream in newest}

    def restore(self, minutes: Mapping[tuple[str, str], Minute], streams: Mapping[str, Iterable[Any]]) -> None:
        """Go on from a checkpoint: what is fed from now on adds to these. A stream that cannot be read is left out."""
        self.minutes |= {key: replace(minute) for key, minute in minutes.items()}
        for id_, known in streams.items():
            try:
                self._streams[id_] = _Stream(*known)
            except TypeError:
                continue  # written by another version: as if it had begun before us

    def clock_moved(self, seconds: float) -> None:
        """The machine's clock was set by so much: what lies in the past stays as long ago as it was."""
        for stream in self._streams.values():
            stream.heard += seconds
            if stream.since is not None:
                stream.since += seconds
            if stream.began is not None:
                stream.began += seconds
        self.held.update((id_, replace(held, at=held.at + seconds)) for id_, held in self.held.items())

    def _from_balancer(self, record: _Record) -> Started | None:
        known = self._streams.get(record.stream)
        if record.rx:
            self._continue(record)
            first = known is None or not known.spoken
            if known is not None:
                known.spoken = True
            return record.started if first and not record.served else None
        if record.kind in _ENDS:
            self._end(record.stream)
        elif known is None:
            self._streams[record.stream] = _Stream(record.rule, tcp=True, heard=record.at, spoken=False)
        else:
            known.heard = record.at
        return None

    def _continue(self, record: _Record) -> None:
        known = self._streams.get(record.stream)
        if known is None:
            # It began before us. What it moved since nobody knows: its use counts, its bytes until now do not.
            known = _Stream(record.rule, record.tcp, record.at, record.rx, record.tx)
            self._streams[record.stream] = known
            if record.served and (record.rx or record.tx):
                self.used(record.rule, record.at)
        if not record.served:
            began = record.at if known.began is None else known.began
            self.held.setdefault(record.stream, replace(record.started, at=began))
        elif not known.connected:
            known.connected = True
            self.held.pop(record.stream, None)
            if known.tcp:
                self._minute(record.rule, record.at).connections += 1
        new_in, new_out = max(0, record.rx - known.rx), max(0, record.tx - known.tx)
        known.rx, known.tx = record.rx, record.tx
        ended = record.kind in _ENDS
        if ended:
            self._end(record.stream)
        request = ended and not known.tcp
        if record.served and self._in_use(known, record, new_in + new_out, request=request):
            self.used(record.rule, record.at)
        known.heard = record.at
        if not record.served or not (new_in or new_out or request):
            return
        minute = self._minute(record.rule, record.at)
        minute.bytes_in += new_in
        minute.bytes_out += new_out
        minute.requests += request

    def _in_use(self, stream: _Stream, record: _Record, new: int, *, request: bool) -> bool:
        least = self.idle_bytes.get(record.rule) if stream.tcp else None
        if least is None:
            return new > 0 or request
        if least == OPEN:
            return record.rx + record.tx > 0  # a client that gave up while it was held has moved nothing
        return stream.busy(record.at, new, least)

    def _end(self, stream: str) -> None:
        self._streams.pop(stream, None)
        self.held.pop(stream, None)

    def _minute(self, rule: str, at: float) -> Minute:
        key = (rule, _minute_of(int(at // 60)))
        self.dirty.add(key)
        return self.minutes.setdefault(key, Minute())


@lru_cache(maxsize=64)
def _minute_of(since_1970: int) -> str:
    """Kept, because nearly every line is of the minute of the one before, and telling it took a third of a line's time.

    Raises ValueError or OverflowError for a minute that no calendar has.
    """
    return datetime.fromtimestamp(since_1970 * 60, UTC).strftime("%Y-%m-%dT%H:%M")


def _parse(line: bytes) -> _Record | None:
    """None for what is no rule's. Raises what the fields raise."""
    record = json.loads(line)
    kind, rule, stream = record["ty"], record["r"], record["id"]
    if not (isinstance(rule, str) and isinstance(stream, str) and isinstance(kind, str)):
        return None  # an unknown host, or a request that the rule ignores
    at = float(record["t"])
    _minute_of(int(at // 60))  # raises here for a time that is none
    port = int(str(record["lp"])) if record.get("lp") else None
    return _Record(
        kind,
        rule,
        stream,
        at,
        int(record.get("rx") or 0),
        int(record.get("tx") or 0),
        bool(record.get("u")) and record.get("cl") != WARM_UP,
        _text(record.get("ip"), 64),
        port if port is not None and 0 < port < 65536 else None,  # noqa: PLR2004
        _text(record.get("h"), 255),
        _text(record.get("p"), 255),
    )


def _text(value: object, longest: int) -> str | None:
    return value[:longest] if isinstance(value, str) and value != "-" else None
