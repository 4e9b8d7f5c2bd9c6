"""What holds for the whole account: the pause switch, and how many stops may begin at once. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

STOPS_PER_TICK = 200
"""Resources, unless people say otherwise: a defect, or a wrong signal for all rules, does not stop a whole account."""


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """The account as people set it.

    `paused`: nothing is stopped, whatever a rule, a schedule or a person says; starts go on. At most
    `max_stops_per_tick` resources begin to be stopped in one minute, None for any number. `version` 0: never set.
    """

    paused: bool = False
    pause_reason: str | None = None
    max_stops_per_tick: int | None = STOPS_PER_TICK
    changed_by: str | None = None
    changed_at: datetime | None = None
    version: int = 0


def minute_of(at: datetime) -> int:
    """The minute that a tick belongs to, counted from 1970."""
    return int(at.timestamp()) // 60
