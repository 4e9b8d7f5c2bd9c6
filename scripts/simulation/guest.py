"""The truth about one rule: what its resources and users really do, whatever AutoStop knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.adapters.memory.clock import START

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.resources import ResourceRef
    from scripts.simulation.proxies import Agent
    from scripts.simulation.traffic import Pattern, Traffic

NEVER = START - timedelta(days=1)


@dataclass(slots=True, eq=False)
class Guest:
    """What runs behind one rule. `service` is how long it takes from "running" to accepting connections.

    `ready_at`, `ended_at`: since when it accepts and until when it did. `accepted_wake` is the last use that met a
    rule which was not up, and was let in. `linked`: it has neighbours. `turn` numbers what is scheduled for it.
    """

    rule_id: str
    refs: tuple[ResourceRef, ...]
    pattern: Pattern
    traffic: Traffic
    agent: Agent | None
    service: timedelta
    idle: timedelta
    linked: bool = False
    ready_at: datetime | None = None
    ended_at: datetime | None = None
    accepted_wake: datetime = NEVER
    waits_since: datetime | None = None
    reported: datetime = NEVER
    turn: int = 0
    boot: int = 0

    @property
    def accepts(self) -> bool:
        """Whether somebody who comes now is served."""
        return self.ready_at is not None and self.ended_at is None

    def served(self, until: datetime) -> datetime | None:
        """The last use up to then that its resources served in their last run."""
        if self.ready_at is None:
            return None
        end = until if self.ended_at is None else min(until, self.ended_at)
        used = self.traffic.last_use((end - START).total_seconds())
        at = None if used is None else START + timedelta(seconds=used)
        return at if at is not None and at >= self.ready_at else None

    def used(self, now: datetime) -> datetime:
        """The last true use, reported or not."""
        return max(self.served(now) or NEVER, self.accepted_wake)
