"""Activity from the proxies' logs. Exact under any order and repetition of delivery: whatever decides is max-merged."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.activity import clamp
from chalicelib.domain.addresses import networks, within
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.loglines import HeartbeatLine, MalformedLineError, RawLine, SummaryLine, parse_line
from chalicelib.ports import LastActivity, Total
from chalicelib.usecases.fast_ingest import Gathered, gather, minute_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from chalicelib.domain.activity import Progress
    from chalicelib.domain.addresses import Network
    from chalicelib.ports import ActivityStore, Clock, EventLog, Ids, LoadBalancerRepository, ProxyStore

SHORTEST_SILENCE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log event: its id, log stream, time of the sender, and text."""

    id: str
    stream: str
    at: datetime
    message: str


@dataclass(slots=True)
class IngestReport:
    """What became of a batch."""

    lines: int = 0
    malformed: int = 0
    rules: int = 0
    beats: int = 0
    gaps: int = 0
    skewed: int = 0
    unknown: int = 0


@dataclass(slots=True)
class _Batch:
    """A batch, sorted out."""

    summaries: list[SummaryLine] = field(default_factory=list)
    beats: list[HeartbeatLine] = field(default_factory=list)
    raw: list[tuple[LogLine, RawLine]] = field(default_factory=list)


@dataclass(slots=True)
class Ingest:
    """What the `proxy_logs` function does with the lines of one payload.

    `heartbeat` is how often members send theirs: three of them missing is silence.
    """

    activity: ActivityStore
    proxies: ProxyStore
    balancers: LoadBalancerRepository
    events: EventLog
    clock: Clock
    ids: Ids
    heartbeat: timedelta
    decode: Callable[[str], object] = json.loads
    """Reads one JSON text. It may refuse more than `json.loads`: what it refuses is read the careful way."""

    def run_payload(self, stream: str, events: Sequence[object]) -> IngestReport:
        """As `run`, of the events of one subscription payload: the usual lines by a shorter way to the same end."""
        now = self.clock.now()
        found = gather(events, self.decode, now)
        first = None if found.first_raw is None else as_line(events[found.first_raw], stream)
        return self._store([(n, as_line(events[n], stream)) for n in found.rest], found, first, len(events), now)

    def run(self, lines: Sequence[LogLine]) -> IngestReport:
        """Store what was seen first, and only then what it proves: a watermark never passes what is not stored."""
        return self._store(list(enumerate(lines)), Gathered(), None, len(lines), self.clock.now())

    def _store(
        self, lines: list[tuple[int, LogLine]], found: Gathered, first: LogLine | None, count: int, now: datetime
    ) -> IngestReport:
        report = IngestReport(lines=count)
        batch = self._sort_out((line for _, line in lines), report)
        if batch.raw and (first is None or _place(lines, batch.raw[0][0]) < (found.first_raw or 0)):
            first = batch.raw[0][0]
        last, totals = self._aggregate(batch, found, first, now)
        for (rule_id, source), at in last.items():
            self.activity.seen(rule_id, LastActivity(source, at))
        if totals:
            self.activity.add_totals(totals)
        report.rules = len({rule_id for rule_id, _ in last})
        self._advance(batch, found, report, now)
        return report

    def _sort_out(self, lines: Iterable[LogLine], report: IngestReport) -> _Batch:
        batch = _Batch()
        for line in lines:
            try:
                parsed = parse_line(line.message, line.stream)
            except MalformedLineError:
                report.malformed += 1
                continue
            match parsed:
                case SummaryLine():
                    batch.summaries.append(parsed)
                case HeartbeatLine():
                    batch.beats.append(parsed)
                case RawLine():
                    batch.raw.append((line, parsed))
        return batch

    def _aggregate(
        self, batch: _Batch, found: Gathered, first: LogLine | None, now: datetime
    ) -> tuple[dict[tuple[str, str], datetime], list[Total]]:
        """Everything by its key; `first` is the batch's first line of an Envoy that is not ours."""
        last, totals = found.last, found.totals

        def used(rule_id: str, source: str, at: datetime) -> None:
            key, seen = (rule_id, source), clamp(at, now)
            last[key] = max(last.get(key, seen), seen)

        for line in batch.summaries:
            source = f"proxy {line.member}"
            if line.last_at is not None:
                used(line.rule, source, line.last_at)
            total = Total(
                line.rule,
                line.minute,
                source,
                line.requests,
                line.connections,
                line.open,
                line.bytes_in,
                line.bytes_out,
            )
            key = (line.rule, line.minute, source)
            totals[key] = totals[key].larger(total) if key in totals else total
        if first is not None:
            # A stream's records of one batch are one source of their own, so that a batch delivered twice counts once.
            source = f"envoy {first.stream} {first.id}"
            for (rule, minute), sums in found.raw.items():
                counted = (sums.requests, sums.connections, 0, sums.bytes_in, sums.bytes_out)
                totals[rule, minute, source] = Total(rule, minute, source, *counted)
            for rule, at in found.raw_last.items():
                used(rule, f"envoy {first.stream}", at)
        for record, raw in self._somebodys(batch.raw):
            at = max(raw.start_time, record.at)
            used(raw.rule, f"envoy {record.stream}", at)
            source = f"envoy {record.stream} {first.id if first else record.id}"
            minute = minute_of(clamp(at, now).astimezone(UTC))
            key = (raw.rule, minute, source)
            old = totals.get(key, Total(raw.rule, minute, source))
            ended = raw.type.endswith("End")
            totals[key] = replace(
                old,
                requests=old.requests + (raw.type == "DownstreamEnd"),
                connections=old.connections + (raw.type == "TcpConnectionEnd"),
                bytes_in=old.bytes_in + raw.bytes_in * ended,
                bytes_out=old.bytes_out + raw.bytes_out * ended,
            )
        return last, list(totals.values())

    def _somebodys(self, raw: list[tuple[LogLine, RawLine]]) -> list[tuple[LogLine, RawLine]]:
        """Without the connections of a balancer in front of that Envoy: until they carry a byte they are nobody.

        Only where such a line may be among them is the load balancer of its stream looked at.
        """
        asked = {record.stream for record, line in raw if line.silent and line.client is not None}
        balancers = {stream: self._balancers(stream) for stream in asked}
        if not any(balancers.values()):
            return raw
        return [
            (record, line)
            for record, line in raw
            if not (line.silent and within(line.client, balancers.get(record.stream, ())))
        ]

    def _balancers(self, stream: str) -> tuple[Network, ...]:
        try:
            balancer = self.balancers.get(stream.partition("/")[0])
        except NotFoundError:
            return ()
        return networks(balancer.balancer_cidrs)

    def _advance(self, batch: _Batch, found: Gathered, report: IngestReport, now: datetime) -> None:
        stored: dict[tuple[str, str, int], set[str]] = defaultdict(set, found.stored)
        for line in batch.summaries:
            stored[line.load_balancer_id, line.member, line.seq].add(f"{line.rule} {line.minute}")
        for beat in sorted(batch.beats, key=lambda b: (b.load_balancer_id, b.beat.observed_from)):
            keys = stored.pop((beat.load_balancer_id, beat.beat.member, beat.beat.seq), set())
            complete = len(keys) >= beat.summaries
            if not complete:
                complete = self._count(beat.load_balancer_id, beat.beat.member, beat.beat.seq, keys) >= beat.summaries
            self._beat(replace(beat, beat=replace(beat.beat, complete=complete)), report, now)
        for (load_balancer_id, member, seq), keys in stored.items():
            self._count(load_balancer_id, member, seq, keys)

    def _count(self, load_balancer_id: str, member: str, seq: int, keys: set[str]) -> int:
        """A sequence in pieces: remember the pieces. In one piece, the usual case, this costs nothing."""
        return self.activity.count_stored(load_balancer_id, member, seq, frozenset(keys))

    def _beat(self, line: HeartbeatLine, report: IngestReport, now: datetime) -> None:
        try:
            progress = self.proxies.beat(line.load_balancer_id, line.beat, now, self._silence)
        except NotFoundError:
            report.unknown += 1
            return
        report.beats += 1
        report.gaps += progress.abandoned or progress.proof.missing_from is not None
        report.skewed += progress.skewed
        self._tell(line, progress, now)

    def _tell(self, line: HeartbeatLine, progress: Progress, now: datetime) -> None:
        """Say a hole that lasts, or a wrong clock, once and not once a heartbeat: id and time are what it is about.

        Log batches overtake each other, so a hole is worth a word only when it is old or the member has given it up.
        """
        member, missing = line.beat.member, progress.proof.missing_from
        if progress.abandoned:
            missing = line.beat.observed_from
        if missing is not None and (progress.abandoned or now - missing > self._silence):
            words = f"Proxy {member} has a hole in its evidence at {missing.isoformat()}."
            self.events.append([self._event(f"ev_gap_{member}", EventKind.EVIDENCE_GAP, line, words, missing)])
        if progress.skewed:
            ahead = int((line.beat.observed_through - now).total_seconds())
            words = f"The clock of proxy {member} is {ahead} s ahead of ours: what it reports proves nothing."
            hour = now.replace(minute=0, second=0, microsecond=0)
            self.events.append([self._event(f"ev_skew_{member}", EventKind.CLOCK_SKEW, line, words, hour)])

    def _event(self, name: str, kind: EventKind, line: HeartbeatLine, words: str, at: datetime) -> Event:
        return Event(f"{name}_{at:%Y%m%dT%H%M%S}", at, kind, line.load_balancer_id, f"proxy {line.beat.member}", words)

    @property
    def _silence(self) -> timedelta:
        return max(self.heartbeat * 3, SHORTEST_SILENCE)


def as_line(event: object, stream: str) -> LogLine:
    """One event of a payload; of one without id, time or text an empty line is left, to be counted as malformed."""
    try:
        id_, timestamp, message = (event[name] for name in ("id", "timestamp", "message"))  # type: ignore[index]
        return LogLine(str(id_), stream, datetime.fromtimestamp(int(timestamp) / 1000, UTC), str(message))
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return LogLine("", stream, datetime.fromtimestamp(0, UTC), "")


def _place(lines: list[tuple[int, LogLine]], wanted: LogLine) -> int:
    return next(place for place, line in lines if line is wanted)
