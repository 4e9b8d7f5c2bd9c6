"""Activity, and how far we know it: watermarks that move only over contiguous proven time."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

SKEW_TOLERATED = timedelta(seconds=60)
"""A member whose clock is further ahead of ours than this proves nothing."""


MOST_ISLANDS = 32
"""More than that is a member in trouble: what lies behind them is sent again once the holes are mended."""

UNHEARD = timedelta(seconds=60)
"""The patience with a member that has applied a configuration and never sent a heartbeat."""

_CONFIG = re.compile(r"r(\d{1,12})\.s(\d{1,12})")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of proven time [start, end]: everything that happened in it is stored."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.end < self.start:
            msg = f"a span cannot end ({self.end}) before it starts ({self.start})"
            raise ValueError(msg)

    @property
    def length(self) -> timedelta:
        """How much time it proves."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A member's claim to have seen all of [`observed_from`, `observed_through`].

    `hole` is the member's own word that it cannot prove the time before `observed_from` and cannot send it
    again. `raw`: of an Envoy without our agent, which diverts nothing. `complete` tells that every summary of its
    `seq` is stored; a claim that is not complete proves nothing.
    """

    member: str
    seq: int
    observed_from: datetime
    observed_through: datetime
    complete: bool = True
    hole: bool = False
    config: str | None = None
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """What a member has proved: one contiguous span, and `islands` beyond a hole that is not mended yet, in order.

    Only the span counts. The islands are kept because log batches overtake each other: when the missing piece comes,
    nothing behind it has to be sent again.
    """

    span: Span | None = None
    islands: tuple[Span, ...] = ()

    @property
    def missing_from(self) -> datetime | None:
        """Where the first hole begins, None while there is none: from there the member is to send again."""
        return self.span.end if self.span is not None and self.islands else None


@dataclass(frozen=True, slots=True)
class Progress:
    """What one heartbeat did to a member's proof. `abandoned`: the member said that it cannot mend its hole."""

    proof: Proof
    moved: bool
    abandoned: bool = False
    skewed: bool = False


def advance(proof: Proof, beat: Heartbeat, received_at: datetime) -> Progress:
    """Add one heartbeat to a member's proof.

    Late, repeated and reordered heartbeats are harmless: the span never moves backwards, and never past a hole. Times
    from outside are clamped to the receiver's clock, so a fast clock proves nothing beyond now.
    """
    skewed = beat.observed_through > received_at + SKEW_TOLERATED
    through = min(beat.observed_through, received_at)
    if not beat.complete or skewed or through <= beat.observed_from:
        return Progress(proof, moved=False, skewed=skewed)
    claimed, span = Span(beat.observed_from, through), proof.span
    if span is None:
        return Progress(_joined(claimed, proof.islands), moved=True)
    if claimed.end <= span.end:
        return Progress(proof, moved=False)
    if claimed.start <= span.end:
        return Progress(_joined(replace(span, end=claimed.end), proof.islands), moved=True)
    if beat.hole:
        return Progress(_joined(claimed, proof.islands), moved=True, abandoned=True)
    return Progress(Proof(span, _with_island(proof.islands, claimed)), moved=False)


def _joined(span: Span, islands: tuple[Span, ...]) -> Proof:
    """The span with every island that it reaches by now."""
    left = []
    for island in islands:
        if island.start > span.end:
            left.append(island)
        elif island.end > span.end:
            span = replace(span, end=island.end)
    return Proof(span, tuple(left))


def _with_island(islands: tuple[Span, ...], new: Span) -> tuple[Span, ...]:
    merged: list[Span] = []
    for island in sorted((*islands, new), key=lambda island: island.start):
        if merged and island.start <= merged[-1].end:
            merged[-1] = replace(merged[-1], end=max(merged[-1].end, island.end))
        else:
            merged.append(island)
    return tuple(merged[:MOST_ISLANDS])


@dataclass(frozen=True, slots=True)
class Source:
    """One activity source of a rule, as it stands now: a member of its proxy, a metric, a flow log.

    `span` is its proven time, None while it has never proved any. `max_silence` is how old the end of the span
    may be before the source counts as silent. `config` is the configuration it last applied and `config_at` when
    we learnt that; both None for sources that apply none. `islands` are proven beyond a hole, and do not count.
    """

    name: str
    span: Span | None
    max_silence: timedelta
    config_states_version: int = 0
    config_at: datetime | None = None
    islands: tuple[Span, ...] = ()
    raw: bool = False
    """An Envoy without our agent."""
    kind: str = "proxy"
    """What kind of witness it is, in a word that people read."""
    asked: bool = True
    """False for metrics that nobody has read, since nothing that they say would change the decision."""

    pace: timedelta = timedelta(0)
    """How often it has anything new to say: looking sooner costs money and shows nothing."""

    late: timedelta = timedelta(0)
    """How old the newest that it can prove always is: quiet for an idle time is proven so much after it is over."""

    diverted: bool | None = None
    """Of an ALB: whether its weights are seen to send everything to the warm-up function. None for a proxy's member."""

    @property
    def title(self) -> str:
        """What people read of it, as in `proxy i-…`."""
        return f"{self.kind} {self.name}"

    @property
    def lag(self) -> timedelta:
        """How late what proves the time after a diversion may come; a member of a proxy tells within seconds."""
        return timedelta(0) if self.kind == "proxy" else self.max_silence

    @property
    def diverts(self) -> bool:
        """Whether it carries out a diversion: our agent does, and whoever has ever said that it applied something."""
        return not self.raw or self.config_at is not None

    @property
    def proof(self) -> Proof:
        """What it has proved, to be moved on by its next heartbeat."""
        return Proof(self.span, self.islands)

    def is_silent(self, now: datetime) -> bool:
        """Whether it has been quiet for so long that its silence is ignorance."""
        return self.span is None or now - self.span.end > self.max_silence


def clamp(at: datetime, received_at: datetime) -> datetime:
    """A time from outside, never later than the receiver's clock."""
    return min(at, received_at)


def states_version(config: str | None) -> int | None:
    """The version of the states part in a configuration's name, as in `r12.s45`; None for anything else."""
    match = _CONFIG.fullmatch(config or "")
    return int(match[2]) if match else None
