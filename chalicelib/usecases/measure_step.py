"""What one reconcile adds to the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.domain.decisions import Action, Reason
from chalicelib.domain.history import seconds_to_start
from chalicelib.domain.rules import RuleState
from chalicelib.ports.measures import Measure

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.history import Step
    from chalicelib.ports.measures import Measures

BLIND = frozenset({Reason.BLIND, Reason.NO_SOURCE})


def measure(step: Step, measures: Measures, now: datetime) -> None:
    """Count it: resources that AWS agreed to start or stop, what it refused, starts that failed, looks at the blind.

    A look that changed nothing is no decision here: most are, and a metric is paid for by the hour in which it is told.
    """
    rule, decision = step.after, step.decision
    reason = rule.status.reason or decision.reason
    if step.worth_telling:
        measures.add(Measure.DECISIONS, of=reason.value)
    accepted = sum(outcome.accepted for outcome in step.outcomes)
    asked = {Action.START: Measure.STARTS, Action.STOP: Measure.STOPS}.get(decision.action)
    if asked is not None and accepted:
        measures.add(asked, accepted, of=rule.id)
    refused = len(step.outcomes) - accepted
    failed = rule.status.state is RuleState.FAILED and step.before.status.state is not RuleState.FAILED
    if refused or failed:
        measures.add(Measure.FAILURES, max(refused, 1), of=rule.id)
    if reason in BLIND:
        measures.add(Measure.BLIND, of=rule.id)
    took = seconds_to_start(step, now)
    if took is not None:
        measures.add(Measure.TIME_TO_UP, took, of=rule.id)
