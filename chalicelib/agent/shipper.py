"""Activity to CloudWatch Logs: numbered heartbeats over contiguous time, at least once, with a spool on disk.

A sequence is on disk before it is sent, and stays for an hour, so that a kill -9 loses nothing and the control plane
can ask for it again.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib import __version__
from chalicelib.agent.xds import atomic_write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from chalicelib.agent.settings import Settings
    from chalicelib.envoy.activity import Minute

log = logging.getLogger(__name__)

KEPT = timedelta(hours=1)
MOST_UNSENT = 10_000


class LogSink(Protocol):
    """Where lines go. `put` blocks and raises OSError when they did not arrive."""

    def put(self, lines: list[str], at: datetime) -> None:
        """Send the lines of one sequence, in order, in one call."""
        ...


@dataclass(slots=True)
class Sequence:
    """One heartbeat and its summaries."""

    seq: int
    start: datetime
    through: datetime
    lines: list[str]
    sent: bool = False


class Spool:
    """The sequences of the last hour, in memory and on disk, and the checkpoint of the access log."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._dir = settings.state_dir / "spool"
        self._dir.mkdir(parents=True, exist_ok=True)
        self.sequences: list[Sequence] = []
        self.position: tuple[int, int] | None = None
        self._load()

    def add(
        self,
        minutes: Mapping[tuple[str, str], Minute],
        through: datetime,
        config: str,
        position: tuple[int, int],
        *,
        hole: bool,
    ) -> Sequence:
        """Make the next sequence, on disk before anything else happens with it."""
        last = self.sequences[-1] if self.sequences else None
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
        if hole or last is None:
            beat["hole"] = True
        sequence = Sequence(seq, start, through, [*lines, json.dumps(beat)])
        self.sequences.append(sequence)
        self.position = position
        self._write(sequence)
        self._forget(through)
        return sequence

    def mark_sent(self, sequence: Sequence) -> None:
        """It has arrived."""
        sequence.sent = True
        self._write(sequence)

    def unsent(self) -> list[Sequence]:
        """What has not arrived, oldest first."""
        return [sequence for sequence in self.sequences if not sequence.sent]

    def send_again(self, start: datetime) -> bool:
        """Everything after `start` is to be sent again; False if not all of it is here any more."""
        found = [sequence for sequence in self.sequences if sequence.through > start]
        for sequence in found:
            sequence.sent = False
        return bool(found) and found[0].start <= start

    def _write(self, sequence: Sequence) -> None:
        content = {
            "start": _stamp(sequence.start),
            "through": _stamp(sequence.through),
            "sent": sequence.sent,
            "position": self.position,
            "lines": sequence.lines,
        }
        atomic_write(self._path(sequence.seq), json.dumps(content))

    def _forget(self, now: datetime) -> None:
        too_many = len(self.sequences) - MOST_UNSENT
        old = [s for n, s in enumerate(self.sequences[:-1]) if s.through < now - KEPT or n < too_many]
        for sequence in old:
            self._path(sequence.seq).unlink(missing_ok=True)
        self.sequences = [s for s in self.sequences if s not in old]

    def _load(self) -> None:
        for path in sorted(self._dir.glob("[0-9]*.json"), key=lambda p: int(p.stem)):
            try:
                data = json.loads(path.read_text())
                start, through = (datetime.fromisoformat(data[name]) for name in ("start", "through"))
                self.sequences.append(Sequence(int(path.stem), start, through, data["lines"], data["sent"]))
                self.position = tuple(data["position"])
            except (ValueError, KeyError, TypeError) as error:
                log.warning("a spooled sequence was unreadable and is left out: %s: %s", path, error)

    def _path(self, seq: int) -> Path:
        return self._dir / f"{seq}.json"


class CloudWatchSink:
    """CloudWatch Logs with the VM's own role."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Any = None

    def put(self, lines: list[str], at: datetime) -> None:
        import boto3  # noqa: PLC0415  (costs 0.2 s: not before the first heartbeat)
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        group = self._settings.log_group
        stream = f"{self._settings.load_balancer_id}/{self._settings.member}"
        stamp = int(at.timestamp() * 1000)
        try:
            if self._client is None:
                client = boto3.client("logs", region_name=self._settings.region)
                try:
                    client.create_log_stream(logGroupName=group, logStreamName=stream)
                except client.exceptions.ResourceAlreadyExistsException:
                    log.info("the log stream is there already")
                self._client = client
            # 10,000 events and 1 MB a call: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference
            for start in range(0, len(lines), 3000):
                events = [{"timestamp": stamp, "message": line} for line in lines[start : start + 3000]]
                self._client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except (BotoCoreError, ClientError) as error:
            raise OSError(str(error)) from error


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


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
