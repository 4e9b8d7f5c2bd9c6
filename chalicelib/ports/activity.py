"""Activity and health of rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from chalicelib.domain.flow_proof import FlowProof


@dataclass(frozen=True, slots=True)
class LastActivity:
    """The newest activity of a rule, as one source saw it."""

    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Total:
    """What a source counted for a rule in one minute (`YYYY-MM-DDTHH:MM`)."""

    rule_id: str
    minute: str
    source: str
    requests: int = 0
    connections: int = 0
    open: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def larger(self, other: Total) -> Total:
        """Of two totals for the same rule, minute and source, figure by figure the larger."""
        return replace(
            self,
            requests=max(self.requests, other.requests),
            connections=max(self.connections, other.connections),
            open=max(self.open, other.open),
            bytes_in=max(self.bytes_in, other.bytes_in),
            bytes_out=max(self.bytes_out, other.bytes_out),
        )


@dataclass(frozen=True, slots=True)
class Health:
    """What a member saw of a rule's targets. `accepts` is the verdict of the health check."""

    member: str
    accepts: bool
    at: datetime
    status: int | None = None


@dataclass(frozen=True, slots=True)
class ActivityFacts:
    """What is known of a rule's activity and health."""

    last: tuple[LastActivity, ...] = ()
    health: tuple[Health, ...] = ()
    flows: tuple[FlowProof, ...] = ()


class ActivityStore(Protocol):
    """Activity per rule. Whatever decides is max-merged: exact under any order and repetition of delivery."""

    def seen(self, rule_id: str, activity: LastActivity) -> None:
        """Move the newest activity of this source forward to `activity.at`, never back."""
        ...

    def add_totals(self, totals: Sequence[Total]) -> None:
        """Store minute totals; of two for the same rule, minute and source the larger figures win."""
        ...

    def count_stored(self, load_balancer_id: str, member: str, seq: int, summaries: frozenset[str]) -> int:
        """Remember that these summaries of a sequence are stored; answers how many different ones are by now."""
        ...

    def put_health(self, rule_id: str, health: Health) -> None:
        """Keep the newest report of this member on this rule."""
        ...

    def facts(self, rule_id: str) -> ActivityFacts:
        """Newest activity and health by source, in one consistent query."""
        ...

    def history(self, rule_id: str, start: datetime, end: datetime) -> Sequence[Total]:
        """Minute totals in [start, end), oldest first; expired ones are left out."""
        ...
