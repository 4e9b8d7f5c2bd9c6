"""DatabaseConnections as an activity source: what the points of CloudWatch prove of a database, and what not. Pure.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.activity import Source, Span
from chalicelib.domain.facts import Use
from chalicelib.domain.guards import LAG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chalicelib.domain.guards import Sample
    from chalicelib.domain.resources import ResourceRef

SHORTEST_IDLE = timedelta(minutes=30)
"""An idle time that one sample a minute, some minutes late, can prove without guessing: design, section 7."""

WITNESS = "cloudwatch"
PERIOD = timedelta(minutes=1)

SAMPLED = (
    "Its connections are counted once a minute by CloudWatch, and told some minutes late: one that lasts for seconds "
    "can go unseen, so it is stopped only after 30 quiet minutes or more, and nothing but people, schedules and rules "
    "that need it start it."
)


@dataclass(frozen=True, slots=True)
class Watched:
    """What the metric says of one rule: a source for each database that runs, and the newest use that it saw."""

    sources: tuple[Source, ...]
    last_use: Use | None = None


def unread(name: str = "DatabaseConnections") -> Watched:
    """The source of a rule that nobody needs to look at yet: it is there, and proves nothing."""
    return Watched((Source(name, None, LAG, raw=True, kind=WITNESS, pace=PERIOD),))


def watched(series: Mapping[ResourceRef, Sequence[Sample]], idle_connections: int) -> Watched:
    """Read off the points of each database. More connections than `idle_connections` are a use.

    A missing point is a hole, not silence: what is proven is the newest stretch without one. A use counts up to the end
    of its minute.
    """
    if not series:
        return unread()
    sources, uses = [], []
    for ref, samples in sorted(series.items()):
        ordered = sorted(samples, key=lambda sample: sample.start)
        name = f"DatabaseConnections of {ref.id}"
        sources.append(Source(name, _newest_stretch(ordered), LAG, raw=True, kind=WITNESS, pace=PERIOD))
        busy = [sample for sample in ordered if sample.value > idle_connections]
        if busy:
            uses.append(Use(busy[-1].end, f"{WITNESS} {ref.id}"))
    return Watched(tuple(sources), max(uses, key=lambda use: use.at, default=None))


def _newest_stretch(ordered: Sequence[Sample]) -> Span | None:
    if not ordered:
        return None
    start = ordered[-1].start
    for sample in reversed(ordered):
        if sample.end < start:
            break
        start = min(start, sample.start)
    return Span(start, ordered[-1].end)
