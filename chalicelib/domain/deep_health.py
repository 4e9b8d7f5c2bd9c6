"""How well a stage is, from what was read of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from chalicelib.domain.members import MemberAgent

LATE = timedelta(minutes=3)
"""A rule that has been due for so long has missed two ticks."""
LOST = timedelta(minutes=10)
"""And after so long nobody looks after rules any more."""
BACKLOG = 100
SILENT = timedelta(minutes=5)
"""Agents beat every minute."""


class Health(StrEnum):
    """Of a check, and of the whole: that of its worst check."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"


_ORDER = (Health.OK, Health.DEGRADED, Health.FAILING)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    health: Health
    words: str


@dataclass(frozen=True, slots=True)
class SeenProxy:
    """One member of a load balancer: until when it has proved that it sees, and which agent it runs."""

    name: str
    proved_until: datetime | None
    agent: MemberAgent | None


def worst(checks: Sequence[Check]) -> Health:
    """Of them all."""
    return max((check.health for check in checks), key=_ORDER.index, default=Health.OK)


def of_schedule(oldest_due: datetime | None, now: datetime) -> Check:
    """Whether rules are looked at when they are due: the tick, the queue and the worker together."""
    late = timedelta() if oldest_due is None else max(now - oldest_due, timedelta())
    words = f"the rule that has waited longest is {late.total_seconds():.0f} s late"
    health = Health.FAILING if late >= LOST else Health.DEGRADED if late >= LATE else Health.OK
    return Check("schedule", health, words)


def of_queue(waiting: int, dead: int) -> Check:
    """What waits, and what nobody could take in."""
    words = f"{waiting} messages wait, {dead} are dead letters"
    return Check("queue", Health.DEGRADED if dead or waiting > BACKLOG else Health.OK, words)


def of_rules(rules: int, blind: int, failed: int, *, more: bool) -> Check:
    """Those that cannot be seen, and those that could not be started."""
    words = f"of {rules} rules{' (there are more)' if more else ''}, {blind} cannot be seen and {failed} have failed"
    return Check("rules", Health.DEGRADED if blind or failed else Health.OK, words)


def of_proxies(proxies: Sequence[SeenProxy], carried: str, now: datetime) -> Check:
    """Those that have gone silent or run another agent than this control plane carries."""
    silent = [p.name for p in proxies if p.proved_until is None or now - p.proved_until > SILENT]
    other = [f"{p.name} ({p.agent.version})" for p in proxies if p.agent is not None and p.agent.version != carried]
    words = f"{len(proxies)} proxies"
    words += f"; silent: {', '.join(silent)}" if silent else ""
    words += f"; with another agent than {carried}: {', '.join(other)}" if other else ""
    return Check("proxies", Health.DEGRADED if silent or other else Health.OK, words)
