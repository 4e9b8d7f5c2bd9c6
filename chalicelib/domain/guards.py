"""Guards: signs of use that no traffic source sees, and that veto a stop which idleness alone wants. Pure.

A guard that cannot be read vetoes as well: unknown is not idle.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.resources import ResourceRef

LAG = timedelta(minutes=10)
"""How old the newest point of a metric may be.

Basic monitoring of EC2 has a point every five minutes, and CloudWatch can take some minutes more to show it.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/manage-detailed-monitoring.html
"""


class GuardMetric(StrEnum):
    """What a guard looks at."""

    CPU = "cpu"
    NETWORK_BYTES = "network_bytes"
    RDS_CONNECTIONS = "rds_connections"
    SSM_SESSION = "ssm_session"
    HEARTBEAT = "heartbeat"

    @property
    def unit(self) -> str:
        """What its values are, for a sentence."""
        return _UNITS[self]

    @property
    def is_a_metric(self) -> bool:
        """Whether CloudWatch has it as a series of points."""
        return self in {GuardMetric.CPU, GuardMetric.NETWORK_BYTES, GuardMetric.RDS_CONNECTIONS}


_UNITS = {
    GuardMetric.CPU: "% CPU",
    GuardMetric.NETWORK_BYTES: "bytes a minute",
    GuardMetric.RDS_CONNECTIONS: "connections",
    GuardMetric.SSM_SESSION: "open sessions",
    GuardMetric.HEARTBEAT: "heartbeats",
}


@dataclass(frozen=True, slots=True)
class Guard:
    """Vetoes while the metric of any resource was above `above` at any time of the last `window`.

    `above` is in percent, bytes a minute, or a number of connections. A heartbeat vetoes for `window` after it was
    posted, an open Session Manager session for as long as it is open.
    """

    metric: GuardMetric
    above: float
    window: timedelta


@dataclass(frozen=True, slots=True)
class Sample:
    """One point of a metric: its value in [start, start + period)."""

    start: datetime
    period: timedelta
    value: float

    @property
    def end(self) -> datetime:
        """Up to when it speaks."""
        return self.start + self.period


@dataclass(frozen=True, slots=True)
class GuardReading:
    """What one guard says, and on what: `vetoes` with the words why, or quiet up to `covers_until`."""

    guard: Guard
    vetoes: bool
    words: str
    covers_until: datetime | None = None


def judge(guard: Guard, series: Mapping[ResourceRef, Sequence[Sample]], now: datetime) -> GuardReading:
    """Read a metric guard off the points of the resources that run. Each must be quiet, and known to be."""
    covered: list[datetime] = []
    for ref, samples in series.items():
        ordered = sorted(samples, key=lambda sample: sample.start)
        busy = [s for s in ordered if s.end > now - guard.window - LAG and s.value > guard.above]
        if busy:
            said = f"{ref.id} had {busy[-1].value:g} {guard.metric.unit} at {busy[-1].start:%H:%M} UTC."
            return GuardReading(guard, vetoes=True, words=said, covers_until=ordered[-1].end)
        through = _proven_through(ordered, now, guard.window)
        if through is None:
            return GuardReading(guard, vetoes=True, words=f"{guard.metric} of {ref.id} is not known.")
        covered.append(through)
    return GuardReading(guard, vetoes=False, words="quiet", covers_until=min(covered, default=None))


def _proven_through(ordered: Sequence[Sample], now: datetime, window: timedelta) -> datetime | None:
    """The end of the newest stretch of points without a hole that is as long as the window; it may be LAG old.

    What is not known after it is at most what is not known where the newest points are late: a quiet point beyond a
    hole must not make more of a doubt than no point at all.
    """
    newest = reaches = None
    for sample in reversed(ordered):
        if newest is None or reaches is None or sample.end < reaches:
            newest = sample.end
        if newest < now - LAG:
            return None
        reaches = sample.start
        if reaches <= newest - window:
            return newest
    return None


def judge_sessions(guard: Guard, sessions: Mapping[ResourceRef, int] | None) -> GuardReading:
    """Read a session guard off the number of open sessions; None where that could not be asked for."""
    if sessions is None:
        return GuardReading(guard, vetoes=True, words="Open Session Manager sessions are not known.")
    for ref, count in sessions.items():
        if count:
            return GuardReading(guard, vetoes=True, words=f"{ref.id} has {count} open Session Manager sessions.")
    return GuardReading(guard, vetoes=False, words="quiet")


def judge_heartbeat(guard: Guard, at: datetime | None, now: datetime) -> GuardReading:
    """Read a heartbeat guard off the newest heartbeat that a job posted."""
    if at is not None and now < at + guard.window:
        ago = int((now - at).total_seconds())
        return GuardReading(guard, vetoes=True, words=f"A job posted a heartbeat {ago} s ago.")
    return GuardReading(guard, vetoes=False, words="quiet", covers_until=now)
