"""What a reconcile has to tell: the event that a decision, once carried out, leaves in the history. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.decisions import Action
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import RuleState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from chalicelib.domain.decisions import Decision
    from chalicelib.domain.facts import Facts
    from chalicelib.domain.resources import Outcome
    from chalicelib.domain.rules import Rule


GONE = "was terminated, or AWS does not know it any more: it is left out. Take it out of the rule."


RESTARTED = (
    "AWS started it again by itself, as it does with every database that has been stopped for seven days. It is "
    "stopped again as soon as AWS allows, if the evidence says that nobody uses it."
)


@dataclass(frozen=True, slots=True)
class Step:
    """One reconcile, done: the rule before and after it, what was decided on which facts, and what AWS answered."""

    before: Rule
    after: Rule
    decision: Decision
    facts: Facts
    outcomes: Sequence[Outcome] = ()

    @property
    def refused(self) -> bool:
        """Whether AWS refused any of it."""
        return any(not outcome.accepted for outcome in self.outcomes)

    @property
    def worth_telling(self) -> bool:
        """A look that changed nothing says nothing; neither does the renewal of a drain."""
        old, new = self.before.status, self.after.status
        if (new.state, new.reason) != (old.state, old.reason):
            return True
        renewed = self.decision.action is Action.DRAIN and old.drain is not None
        return self.decision.action.touches_the_world and not renewed

    @property
    def newly_restarted(self) -> bool:
        """Whether this look is the first to find that AWS itself started what had been stopped for seven days."""
        return self.after.status.restarted_at is not None and self.before.status.restarted_at is None

    @property
    def newly_gone(self) -> tuple[str, ...]:
        """The ids of resources that were there at the last look and are not any more: left out from now on.

        Of one that tags brought in, its leaving tells.
        """
        gone = self.facts.within(ResourceState.GONE)
        if not gone:
            return ()
        was = {seen.id for seen in self.before.status.seen if seen.state is not ResourceState.GONE}
        was -= set(self.before.members)
        return tuple(resource.ref.id for resource in gone if resource.ref.id in was)


def events_of(step: Step, decision_id: str, ids: Iterator[str], at: datetime) -> tuple[Event, ...]:
    """What the history gets of one step: nothing of most looks. The decision's own entry has its id."""
    gone = [
        Event(next(ids), at, EventKind.RESOURCE_GONE, step.before.id, "aws", f"{id_} {GONE}") for id_ in step.newly_gone
    ]
    if step.newly_restarted:
        gone.append(Event(next(ids), at, EventKind.RESTARTED_BY_AWS, step.before.id, "aws", _restarted(step)))
    return (*gone, event_of(step, decision_id, at)) if step.worth_telling else tuple(gone)


def _restarted(step: Step) -> str:
    ids = sorted(r.ref.id for r in step.facts.within(ResourceState.RUNNING, ResourceState.PENDING))
    return f"{', '.join(ids)}: {RESTARTED}"


def event_of(step: Step, id_: str, at: datetime) -> Event:
    """The entry of the history for one step."""
    new, decision = step.after.status, step.decision
    words = f"{decision.words} ({decision.action.value} → {new.state.value})"
    if step.refused:
        words = new.detail or words
    notes = [outcome.note for outcome in step.outcomes if outcome.note]
    if notes:
        words = f"{words} {'; '.join(notes)}."
    return Event(
        id_,
        at,
        _kind(step),
        step.before.id,
        decision.by or "autostop",
        words,
        action=decision.action.value,
        reason=(new.reason or decision.reason).value,
        state=new.state.value,
        evidence=decision.evidence,
        seconds=seconds_to_start(step, at),
    )


def _kind(step: Step) -> EventKind:
    if step.refused:
        return EventKind.START_REFUSED if step.decision.action is Action.START else EventKind.STOP_REFUSED
    if step.after.status.state is not step.before.status.state:
        return EventKind.STATE_CHANGED
    return EventKind.DECIDED


def seconds_to_start(step: Step, at: datetime) -> float | None:
    """How long it took until it was up; None for every other step."""
    old, new = step.before.status, step.after.status
    if new.state is RuleState.UP and old.state is RuleState.STARTING and old.start_requested_at is not None:
        return (at - old.start_requested_at).total_seconds()
    return None
