"""Numbered heartbeats over contiguous time, kept for an hour in memory and on disk.

A sequence is on disk before it is sent, so that a kill -9 loses nothing and the control plane can ask for it again.
Where the disk is full it is sent all the same, and written as soon as there is room: until then a kill costs a replay
of the access log from the last checkpoint, or a hole that is told.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from chalicelib import __version__
from chalicelib.agent.xds import atomic_write
from chalicelib.envoy.activity import Minute

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from chalicelib.agent.settings import Settings

log = logging.getLogger(__name__)

KEPT = timedelta(hours=1)
MOST_BYTES = 64 * 1024 * 1024
"""Of all lines in memory. An hour of a busy proxy is a tenth of it; older sequences go first, and that is logged.
It alone bounds what has not arrived: CloudWatch Logs may be away for longer than an hour, and a clock may be set."""


@dataclass(slots=True)
class Sequence:
    """One heartbeat and its summaries. `hole`: the time before `start` cannot be proved.

    `streams` are those that were open at `position` (Activity.open_streams), of the newest sequence on disk only.
    """

    seq: int
    start: datetime
    through: datetime
    lines: list[str]
    position: tuple[int, int]
    hole: bool = False
    sent: bool = False
    on_disk: bool = False
    streams: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of its lines."""
        return sum(map(len, self.lines))


class Spool:
    """The sequences of the last hour, and the checkpoint of the access log."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._dir = settings.state_dir / "spool"
        self.sequences: list[Sequence] = []
        self._load()

    @property
    def position(self) -> tuple[int, int] | None:
        """Up to where the access log is in the spool; None where nothing is."""
        return self.sequences[-1].position if self.sequences else None

    @property
    def streams(self) -> dict[str, list[Any]]:
        """Those that were open at `position`."""
        return self.sequences[-1].streams if self.sequences else {}

    def minutes(self) -> dict[tuple[str, str], Minute]:
        """What was last told of each minute: what comes after the checkpoint adds to that."""
        found: dict[tuple[str, str], Minute] = {}
        for sequence in self.sequences:
            for line in sequence.lines:
                data = json.loads(line)
                if "minute" in data:
                    found[data["rule"], data["minute"]] = _counted(data)
        return found

    def add(
        self,
        minutes: Mapping[tuple[str, str], Minute],
        through: datetime,
        config: str,
        position: tuple[int, int],
        streams: Mapping[str, list[Any]] = MappingProxyType({}),
        *,
        hole: bool,
    ) -> Sequence:
        """Make the next sequence, on disk before anything else happens with it. A full disk is logged, not raised."""
        last = self.sequences[-1] if self.sequences else None
        # A clock that was set back: nothing is proved of a time before the time that was proved.
        hole = hole or last is None or through < last.through
        start = last.through if last and not hole else through - timedelta(milliseconds=1)
        seq = last.seq + 1 if last else int(through.timestamp())
        base = {"autostop": 1, "proxy": self._settings.load_balancer_id, "member": self._settings.member, "seq": seq}
        lines = [json.dumps(base | _summary(*key, minute)) for key, minute in minutes.items()]
        beat: dict[str, Any] = base | {
            "observed_from": _stamp(start),
            "observed_through": _stamp(through),
            "summaries": len(lines),
            "config": config,
            "agent": __version__,
        }
        if hole:
            beat["hole"] = True
        sequence = Sequence(seq, start, through, [*lines, json.dumps(beat)], position, hole, streams=dict(streams))
        self.sequences.append(sequence)
        for waiting in self.sequences:
            if not waiting.on_disk and not self._write(waiting):
                break
        self._forget(through)
        return sequence

    def mark_sent(self, sequence: Sequence) -> None:
        """It has arrived."""
        sequence.sent = True
        if sequence in self.sequences:
            self._write(sequence)

    def unsent(self) -> list[Sequence]:
        """What has not arrived, oldest first."""
        return [sequence for sequence in self.sequences if not sequence.sent]

    def send_again(self, start: datetime) -> bool:
        """Everything after `start` is to be sent again; False if that would leave a hole that is not told."""
        found = [sequence for sequence in self.sequences if sequence.through > start]
        known = start
        whole = bool(found)
        for sequence in found:
            sequence.sent = False
            whole = whole and (sequence.hole or sequence.start <= known)
            known = sequence.through
        return whole

    def _write(self, sequence: Sequence) -> bool:
        content = {
            "start": _stamp(sequence.start),
            "through": _stamp(sequence.through),
            "sent": sequence.sent,
            "hole": sequence.hole,
            "position": sequence.position,
            "lines": sequence.lines,
            "streams": sequence.streams,
        }
        try:
            self._dir.mkdir(parents=True, exist_ok=True)
            atomic_write(self._path(sequence.seq), json.dumps(content))
        except OSError:
            log.exception("sequence %d is only in memory: the spool cannot be written", sequence.seq)
            return False
        sequence.on_disk = True
        for older in self.sequences:
            if older.seq < sequence.seq:
                older.streams = {}
        return True

    def _forget(self, now: datetime) -> None:
        """The newest one always stays: it has the checkpoint, and the next one begins where it ends."""
        size = sum(sequence.size for sequence in self.sequences)
        kept: list[Sequence] = []
        for sequence in self.sequences[:-1]:
            if (not sequence.sent or sequence.through >= now - KEPT) and size <= MOST_BYTES:
                kept.append(sequence)
                continue
            size -= sequence.size
            if not sequence.sent:
                log.error("sequence %d was never sent and is given up: its time is a hole", sequence.seq)
            self._remove(sequence.seq)
        self.sequences = [*kept, self.sequences[-1]]

    def _load(self) -> None:
        for path in sorted(self._dir.glob("[0-9]*.json"), key=lambda p: int(p.stem)):
            try:
                data = json.loads(path.read_text())
                start, through = (datetime.fromisoformat(data[name]) for name in ("start", "through"))
                inode, offset = data["position"]
                position = (int(inode), int(offset))
                lines = [str(line) for line in data["lines"]]
                sequence = Sequence(int(path.stem), start, through, lines, position, on_disk=True)
                sequence.hole, sequence.sent = data["hole"] is True, data["sent"] is True
                sequence.streams = dict(data.get("streams", {}))
                for line in lines:
                    _checked(json.loads(line))
                self.sequences.append(sequence)
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("a spooled sequence was unreadable and is left out: %s: %s", path, error)
                self._remove(int(path.stem))

    def _remove(self, seq: int) -> None:
        try:
            self._path(seq).unlink(missing_ok=True)
        except OSError:
            log.exception("sequence %d cannot be removed from the spool", seq)

    def _path(self, seq: int) -> Path:
        return self._dir / f"{seq}.json"


def _summary(rule: str, minute: str, counted: Minute) -> dict[str, Any]:
    last_at = None if counted.last_at is None else _stamp(datetime.fromtimestamp(counted.last_at, UTC))
    return {
        "rule": rule,
        "minute": minute,
        "last_at": last_at,
        "requests": counted.requests,
        "connections": counted.connections,
        "open": counted.open,
        "bytes_in": counted.bytes_in,
        "bytes_out": counted.bytes_out,
    }


def _counted(data: dict[str, Any]) -> Minute:
    """What _summary was made of."""
    last_at = data["last_at"]
    names = ("requests", "connections", "open", "bytes_in", "bytes_out")
    return Minute(
        None if last_at is None else datetime.fromisoformat(last_at).timestamp(), *(int(data[name]) for name in names)
    )


def _checked(data: dict[str, Any]) -> None:
    """Raises what a line that is no summary and no heartbeat raises."""
    if "minute" in data:
        str(data["rule"]), _counted(data)
    elif "observed_through" not in data:
        raise ValueError("neither a summary nor a heartbeat")


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
