"""Reading guards: only of rules that would be stopped now, and for a whole group at once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.errors import CloudError
from chalicelib.domain.guards import LAG, GuardMetric, judge, judge_sessions
from chalicelib.domain.resources import ResourceState
from chalicelib.ports import Series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.facts import Facts
    from chalicelib.domain.guards import Guard, GuardReading, Sample
    from chalicelib.domain.resources import ResourceRef
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import Metrics, Sessions

PERIOD = timedelta(minutes=5)
"""The longest period of a metric: windows are read from one period earlier, to be covered from their start."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Question:
    """One guard of one rule, and the resources that it is about: those that run."""

    rule_id: str
    guard: Guard
    refs: tuple[ResourceRef, ...]


@dataclass(slots=True)
class GuardReader:
    """Asks CloudWatch and Session Manager. What cannot be read is unknown, and vetoes."""

    metrics: Metrics
    sessions: Sessions

    def read(self, rules: Sequence[tuple[Rule, Facts]], now: datetime) -> dict[str, tuple[GuardReading, ...]]:
        """The readings of each of these rules, by its id; heartbeats are left out, they cost nothing to know."""
        questions = [
            _Question(rule.id, guard, _measured(facts))
            for rule, facts in rules
            for guard in rule.spec.guards
            if guard.metric is not GuardMetric.HEARTBEAT
        ]
        points = self._points([q for q in questions if q.guard.metric.is_a_metric], now)
        sessions = self._open_sessions([q for q in questions if q.guard.metric is GuardMetric.SSM_SESSION])
        found: dict[str, tuple[GuardReading, ...]] = {rule.id: () for rule, _ in rules}
        for question in questions:
            found[question.rule_id] += (_reading(question, points, sessions, now),)
        return found

    def _points(self, questions: Sequence[_Question], now: datetime) -> Mapping[Series, tuple[Sample, ...]]:
        """One batched read over the longest window; of what cannot be read there are no points."""
        series = sorted({Series(ref, q.guard.metric) for q in questions for ref in q.refs}, key=str)
        if not series:
            return {}
        longest = max(question.guard.window for question in questions)
        try:
            return self.metrics.read(series, now - longest - LAG - PERIOD, now)
        except CloudError as error:
            log.warning("metrics could not be read, so their guards veto", extra={"error": str(error)})
            return {}

    def _open_sessions(self, questions: Sequence[_Question]) -> Mapping[ResourceRef, int] | None:
        refs = sorted({ref for question in questions for ref in question.refs})
        if not refs:
            return {}
        try:
            return self.sessions.open(refs)
        except CloudError as error:
            log.warning("sessions could not be listed, so their guards veto", extra={"error": str(error)})
            return None


def _measured(facts: Facts) -> tuple[ResourceRef, ...]:
    """What runs; of a DB cluster, its instances: they have the metrics."""
    return tuple(ref for resource in facts.within(ResourceState.RUNNING) for ref in resource.measured)


def _reading(
    question: _Question,
    points: Mapping[Series, tuple[Sample, ...]],
    sessions: Mapping[ResourceRef, int] | None,
    now: datetime,
) -> GuardReading:
    guard = question.guard
    if guard.metric is GuardMetric.SSM_SESSION:
        known = None if sessions is None else {ref: sessions.get(ref, 0) for ref in question.refs}
        return judge_sessions(guard, known)
    return judge(guard, {ref: points.get(Series(ref, guard.metric), ()) for ref in question.refs}, now)
