"""Metrics as activity sources: what the points of CloudWatch prove of a database or an instance, and what not. Pure.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.activity import Source, Span
from chalicelib.domain.facts import Use
from chalicelib.domain.guards import LAG, GuardMetric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chalicelib.domain.guards import Sample
    from chalicelib.domain.resources import ResourceRef

SHORTEST_IDLE = timedelta(minutes=30)
"""An idle time that one sample a minute, some minutes late, can prove without guessing: design, section 7."""

WITNESS = "cloudwatch"
PERIOD = timedelta(minutes=1)
EC2_PERIOD = timedelta(minutes=5)
"""Of an instance without detailed monitoring, which is most."""


SAMPLED = (
    "Its connections are counted once a minute by CloudWatch, and told some minutes late: one that lasts for seconds "
    "can go unseen, so it is stopped only after 30 quiet minutes or more, and nothing but people, schedules and rules "
    "that need it start it."
)


@dataclass(frozen=True, slots=True)
class Watched:
    """What the metrics say of one rule: a source for each and each resource that runs, and the newest use."""

    sources: tuple[Source, ...]
    last_use: Use | None = None


NAMES = {
    GuardMetric.CPU: "CPUUtilization",
    GuardMetric.NETWORK_BYTES: "NetworkOut",
    GuardMetric.RDS_CONNECTIONS: "DatabaseConnections",
}
"""As CloudWatch has them."""


def unread(metrics: Iterable[GuardMetric]) -> Watched:
    """The sources of a rule that nobody needs to look at yet: they are there, and prove nothing."""
    return Watched(tuple(_source(NAMES[metric], None, metric) for metric in metrics))


def watched(series: Mapping[tuple[GuardMetric, float], Mapping[ResourceRef, Sequence[Sample]]]) -> Watched:
    """Read off the points of each metric of each resource. More than is said beside the metric is a use.

    A missing point is a hole, not silence: what is proven is the newest stretch without one. A use counts up to the end
    of its period.
    """
    sources: list[Source] = []
    uses: list[Use] = []
    for (metric, above), of_each in series.items():
        if not of_each:
            sources += unread([metric]).sources
        for ref, samples in sorted(of_each.items()):
            ordered = sorted(samples, key=lambda sample: sample.start)
            sources.append(_source(f"{NAMES[metric]} of {ref.id}", _newest_stretch(ordered), metric))
            busy = [sample for sample in ordered if sample.value > above]
            if busy:
                uses.append(Use(busy[-1].end, f"{WITNESS} {NAMES[metric]} of {ref.id}"))
    return Watched(tuple(sources), max(uses, key=lambda use: use.at, default=None))


def _source(name: str, span: Span | None, metric: GuardMetric) -> Source:
    pace = PERIOD if metric is GuardMetric.RDS_CONNECTIONS else EC2_PERIOD
    return Source(name, span, LAG + pace, raw=True, kind=WITNESS, pace=pace)


def _newest_stretch(ordered: Sequence[Sample]) -> Span | None:
    if not ordered:
        return None
    start = ordered[-1].start
    for sample in reversed(ordered):
        if sample.end < start:
            break
        start = min(start, sample.start)
    return Span(start, ordered[-1].end)
