"""The weekly window in which AWS maintains a database. Pure.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_UpgradeDBInstance.Maintenance.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

LEAD = timedelta(minutes=30)
"""So long before its window a database with something to be done in it is left running: a stop can take as long."""

_WEEK = timedelta(days=7)
_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(r"([a-z]{3}):(\d\d):(\d\d)-([a-z]{3}):(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """From `start`, a time since Monday 00:00 UTC, for `length`."""

    start: timedelta
    length: timedelta

    @staticmethod
    def of(text: str) -> MaintenanceWindow | None:
        """From AWS's `ddd:hh24:mi-ddd:hh24:mi`, in UTC; None for anything else."""
        found = _WINDOW.fullmatch(text.lower())
        if found is None or not {found[1], found[4]} <= set(_DAYS):
            return None
        start, end = _since_monday(found[1], found[2], found[3]), _since_monday(found[4], found[5], found[6])
        return MaintenanceWindow(start, (end - start) % _WEEK)

    def ends(self, now: datetime) -> datetime | None:
        """When it is over, if `now` is within it or shortly before; None else."""
        into = (now - _MONDAY - self.start + LEAD) % _WEEK
        return now - into + LEAD + self.length if into < LEAD + self.length else None


def _since_monday(day: str, hours: str, minutes: str) -> timedelta:
    return timedelta(days=_DAYS.index(day), hours=int(hours), minutes=int(minutes))
