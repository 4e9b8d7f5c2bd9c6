"""The usual lines of a payload, aggregated as they are read; every other line is left to the careful parser.

A line is usual if the careful parser (domain/loglines.py) would read it in one certain way: what is missing, of another
type, out of range or about a TCP connection without bytes is not. A property holds both ways against each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.domain.loglines import LOAD_BALANCER, MAX_COUNT, MEMBER, MINUTE, RAW_HEARTBEAT_RULE, RULE
from chalicelib.ports import Total

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TO_THE_MINUTE = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)
_AFTER_THE_MINUTE = re.compile(r":([0-5]\d)(?:\.(\d{3}|\d{6}))?Z", re.ASCII)
_SECONDS = frozenset(f":{second:02}" for second in range(60))
_MILLISECONDS = frozenset(f".{millisecond:03}Z" for millisecond in range(1000))
"""How %START_TIME% goes on: nearly every line has another, so that one at a time is looked up and not their product."""

_MINUTE_LENGTH = 16
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 4_102_444_800_000
"""Milliseconds: the year 2100. Beyond it a timestamp is left to the careful way, as is one before 1970."""


@dataclass(slots=True)
class Sums:
    """Of the raw lines of one rule in one minute."""

    newest: datetime
    requests: int = 0
    connections: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(slots=True)
class Gathered:
    """What the usual lines of a payload come to; `rest` has the places of the others.

    `raw` has the sums by rule and minute; `raw_last` maps a rule to its newest use; `first_raw` is the place of the
    first raw line. `stored` has the summaries by load balancer, member and sequence.
    """

    last: dict[tuple[str, str], datetime] = field(default_factory=dict)
    totals: dict[tuple[str, str, str], Total] = field(default_factory=dict)
    stored: dict[tuple[str, str, int], set[str]] = field(default_factory=dict)
    raw: dict[tuple[str, str], Sums] = field(default_factory=dict)
    raw_last: dict[str, datetime] = field(default_factory=dict)
    first_raw: int | None = None
    rest: list[int] = field(default_factory=list)


class Times:
    """Times as lines write them, `2026-11-22T21:40:00.123Z`: each minute and each rest of one is parsed once."""

    __slots__ = ("minutes", "rests")

    def __init__(self) -> None:
        self.minutes: dict[str, datetime | None] = {}
        self.rests: dict[str, timedelta | None] = {}

    def read(self, text: str) -> datetime | None:
        """None for what is written in any other way, and for no time at all."""
        start, rest = text[:_MINUTE_LENGTH], text[_MINUTE_LENGTH:]
        minute = self.minutes.get(start) or self._minute(start)
        after = self.rests.get(rest)
        if after is None:
            after = self._rest(rest)
        return None if minute is None or after is None else minute + after

    def _minute(self, text: str) -> datetime | None:
        found = None
        if _TO_THE_MINUTE.fullmatch(text):
            try:
                found = datetime.fromisoformat(text).replace(tzinfo=UTC)
            except ValueError:
                found = None
        self.minutes[text] = found
        return found

    def _rest(self, text: str) -> timedelta | None:
        match = _AFTER_THE_MINUTE.fullmatch(text)
        found = match and timedelta(seconds=int(match[1]), microseconds=int((match[2] or "0").ljust(6, "0")))
        self.rests[text] = found or None
        return found or None


def minute_of(at: datetime) -> str:
    """`2026-11-22T21:40` of a time in UTC."""
    return at.isoformat()[:_MINUTE_LENGTH]


def gather(events: Sequence[Any], decode: Callable[[str], object], now: datetime) -> Gathered:
    """Aggregate what is usual. `decode` reads one JSON text and may refuse (ValueError) more than the careful way.

    `events` are those of a subscription payload, and nothing of them is trusted. Never raises for what is in them.
    """
    found, known, times = Gathered(), set[str](), Times()
    take = _raw_taker(found, times, now)
    for place, event in enumerate(events):
        try:
            stamp, data = event["timestamp"], decode(event["message"])
            if type(event["id"]) is not str or type(stamp) is not int or type(data) is not dict:
                usual = False
            elif "autostop" in data:
                usual = 0 <= stamp <= _LATEST and _summary(data, found, times, known, now)
            else:
                usual = take(data, stamp)
                if usual and found.first_raw is None:
                    found.first_raw = place
        except (ValueError, KeyError, TypeError, RecursionError):
            usual = False
        if not usual:
            found.rest.append(place)
    for (rule, _), sums in found.raw.items():
        newest = found.raw_last.get(rule)
        found.raw_last[rule] = sums.newest if newest is None else max(newest, sums.newest)
    return found


def _raw_taker(found: Gathered, times: Times, now: datetime) -> Callable[[dict[str, Any], int], bool]:
    """Adds raw lines, and answers whether they were usual.

    Nearly all differ in their figures alone: what else they say was understood once, and is looked up. It is a closure
    because it runs for every line: names of its own are found in half the time of attributes.
    """
    sums_of, minutes, read = found.raw, times.minutes, times.read
    kinds: dict[str, _Kind] = {}
    arrivals: dict[int, tuple[str, datetime, str]] = {}
    known: set[str] = set()

    def take(data: dict[str, Any], stamp: int) -> bool:
        rule, start, received, sent = data["rule"], data["start_time"], data["bytes_received"], data["bytes_sent"]
        kind = kinds.get(data["type"]) or _kind(data["type"], kinds)
        if type(received) is not int or type(sent) is not int or kind.odd:
            return False
        if not (0 <= received < MAX_COUNT and 0 <= sent < MAX_COUNT) or (kind.tcp and not received):
            return False
        if rule not in known and not _knows(rule, known):
            return False
        text, at, minute = arrivals.get(stamp) or _arrival(stamp, now, arrivals)
        if start > text or len(start) != len(text):
            # It began after it was told of, for somebody's clock is fast; or it is written in another way.
            begun = read(start)
            if begun is None:
                return False
            at = min(max(at, begun), now)
            minute = minute_of(at)
        elif (
            start[19:] not in _MILLISECONDS or start[16:19] not in _SECONDS or minutes.get(start[:16]) is None
        ) and read(start) is None:
            return False
        sums = sums_of.get((rule, minute))
        if sums is None:
            sums = sums_of[rule, minute] = Sums(at)
        elif at > sums.newest:
            sums.newest = at
        if kind.ended:
            sums.bytes_in += received
            sums.bytes_out += sent
            sums.requests += kind.requests
            sums.connections += kind.connections
        return True

    return take


def _kind(kind: str, kinds: dict[str, _Kind]) -> _Kind:
    odd = type(kind) is not str or len(kind) > 40  # noqa: PLR2004
    made = kinds[kind] = _ODD if odd else _Kind(kind)
    return made


def _knows(rule: object, known: set[str]) -> bool:
    if type(rule) is not str or rule == RAW_HEARTBEAT_RULE or not RULE.fullmatch(rule):
        return False
    known.add(rule)
    return True


def _arrival(stamp: int, now: datetime, arrivals: dict[int, tuple[str, datetime, str]]) -> tuple[str, datetime, str]:
    """The time of an event as text, and as what counts; raises ValueError for one that is no time of today."""
    if not 0 <= stamp <= _LATEST:
        raise ValueError("a time long past, or far away")
    at = _EPOCH + stamp * _MILLISECOND
    text, clamped = at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), min(at, now)
    arrivals[stamp] = found = (text, clamped, minute_of(clamped))
    return found


class _Kind:
    """What a %ACCESS_LOG_TYPE% says of its line."""

    __slots__ = ("connections", "ended", "odd", "requests", "tcp")

    def __init__(self, kind: str, *, odd: bool = False) -> None:
        self.odd = odd
        self.tcp, self.ended = kind.startswith("Tcp"), kind.endswith("End")
        self.requests, self.connections = int(kind == "DownstreamEnd"), int(kind == "TcpConnectionEnd")


_ODD = _Kind("", odd=True)


def _summary(data: dict[str, Any], found: Gathered, times: Times, known: set[str], now: datetime) -> bool:
    if type(data["autostop"]) is not int or data["autostop"] != 1 or "observed_through" in data:
        return False
    proxy, member, rule, minute, last_at = (
        data["proxy"],
        data["member"],
        data["rule"],
        data["minute"],
        data.get("last_at"),
    )
    figures = (
        data["seq"],
        data.get("requests", 0),
        data.get("connections", 0),
        data.get("open", 0),
        data.get("bytes_in", 0),
        data.get("bytes_out", 0),
    )
    for figure in figures:
        if type(figure) is not int or not 0 <= figure < MAX_COUNT:
            return False
    # Each text that was once found to be right is known by what it is right for.
    for text, what, pattern in (
        (proxy, "p", LOAD_BALANCER),
        (member, "m", MEMBER),
        (rule, "", RULE),
        (minute, "t", MINUTE),
    ):
        if type(text) is not str:
            return False
        mark = what + text if what else text
        if mark not in known:
            if not pattern.fullmatch(text):
                return False
            known.add(mark)
    at = None
    if last_at is not None:
        at = times.read(last_at)
        if at is None:
            return False
        at = min(at, now)
    source = "proxy " + member
    if at is not None:
        newest = found.last.get((rule, source))
        if newest is None or at > newest:
            found.last[rule, source] = at
    total = Total(rule, minute, source, *figures[1:])
    key = (rule, minute, source)
    old = found.totals.get(key)
    found.totals[key] = total if old is None else old.larger(total)
    found.stored.setdefault((proxy, member, figures[0]), set()).add(f"{rule} {minute}")
    return True
