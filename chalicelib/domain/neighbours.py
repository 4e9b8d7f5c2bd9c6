"""Rules on the other side of a dependency: whom a rule needs, and who needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.decisions import Reason
from chalicelib.domain.rules import RuleState

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from chalicelib.domain.rules import Rule, RuleStatus

_FAILS_TO_BE_UP = frozenset({Reason.START_FAILED, Reason.HEALTH_FAILED})


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A rule as it was last recorded. `delay` is how long after it is up the rule that needs it may start."""

    rule: Rule
    delay: timedelta | None = None

    @property
    def name(self) -> str:
        """How the explanation names it."""
        return f"rule {self.rule.spec.name} ({self.rule.id})"

    @property
    def needs_us(self) -> bool:
        """Of a dependent: whether it is up, or on its way there."""
        return needs_others(self.rule.status)

    @property
    def holds_us(self) -> bool:
        """Of a dependent: whether we may not go down yet, because it is on its way down before us."""
        status = self.rule.status
        still_runs = status.state is RuleState.FAILED and status.reason is Reason.STOP_FAILED
        return self.needs_us or status.state is RuleState.STOPPING or still_runs

    def ready_at(self) -> datetime | None:
        """Of a dependency: when it is, or was, up for its delay; None while it is not up.

        A rule is up when it was observed running and its health check passed.
        """
        status = self.rule.status
        if status.state is not RuleState.UP or status.since is None:
            return None
        return status.since if self.delay is None else status.since + self.delay


def needs_others(status: RuleStatus) -> bool:
    """Whether a rule in this status needs what it depends on: it is up, or on its way there."""
    return status.state in {RuleState.UP, RuleState.STARTING} or (
        status.state is RuleState.FAILED and status.reason in _FAILS_TO_BE_UP
    )


def names(neighbours: tuple[Neighbour, ...]) -> str:
    """All of them, for a sentence."""
    return ", ".join(neighbour.name for neighbour in neighbours)
