"""What the flow logs of one network interface prove: time in which every flow is known. Pure.

A window with flows has a record for each, from its first packet to its last; one without has NODATA for all of it. So
between two neighbours that were both written there can be nearly two windows of nothing; more is a window that is
missing. Records come late and in any order, so nothing that depends on order is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.activity import Source, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

KIND = "flow log"
LAG = timedelta(minutes=10)
"""How late a record may come and still be counted on. What is newer proves nothing yet.

https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs.html#flow-logs-limitations, research/feasibility.md B17
"""

DELIVERY = timedelta(minutes=8)
"""By so much more than is usual CloudWatch may be late before an interface counts as silent."""

MOST = 24
"""Stretches and skips that are kept; what was before the oldest of them is not proven any more."""


@dataclass(frozen=True, slots=True)
class Stretches:
    """Proven time, and the time of which AWS says that it skipped records; both in order and apart."""

    proved: tuple[Span, ...] = ()
    skipped: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class FlowProof:
    """What is proven of one interface."""

    interface: str
    stretches: Stretches


def shortest_idle(window: timedelta) -> timedelta:
    """An idle time that windows of this length can prove."""
    return LAG + max(window, timedelta(minutes=2))


def extend(known: Stretches, proved: Iterable[Span], skipped: Iterable[Span], window: timedelta) -> Stretches:
    """With more records. The same ones again, in any order and in pieces, come to the same."""
    spans = _merged([*known.proved, *proved], 2 * window)
    holes = _merged([*known.skipped, *skipped], timedelta(0))
    lost, holes = holes[:-MOST], holes[-MOST:]
    if lost:
        spans = [replace(s, start=max(s.start, lost[-1].end)) for s in spans if s.end > lost[-1].end]
    return Stretches(tuple(spans[-MOST:]), tuple(holes))


def proven(stretches: Stretches, now: datetime) -> Span | None:
    """The newest stretch without a hole, as far as it is to be counted on by now."""
    settled = now - LAG
    parts = [part for span in stretches.proved for part in _without(span, stretches.skipped)]
    newest = max((part for part in parts if part.start < settled), key=lambda part: part.start, default=None)
    return None if newest is None else Span(newest.start, min(newest.end, settled))


def source_of(proof: FlowProof | None, interface: str, window: timedelta, now: datetime) -> Source:
    """An interface as a source of its rule; one that nothing is known of proves nothing."""
    span = None if proof is None else proven(proof.stretches, now)
    return Source(interface, span, LAG + 2 * window + DELIVERY, raw=True, kind=KIND, pace=window)


def _merged(spans: Sequence[Span], reach: timedelta) -> list[Span]:
    """Joined where the next begins less than `reach` after the end of one, or within it."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda each: (each.start, each.end)):
        if merged and (span.start <= merged[-1].end or span.start - merged[-1].end < reach):
            merged[-1] = replace(merged[-1], end=max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def _without(span: Span, holes: Sequence[Span]) -> list[Span]:
    parts, start = [], span.start
    for hole in holes:
        if hole.end <= start or hole.start >= span.end:
            continue
        if hole.start > start:
            parts.append(Span(start, hole.start))
        start = hole.end
    return [*parts, Span(start, span.end)] if start < span.end else parts
