"""How long to leave AWS alone in a region after it has asked to slow down. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

FIRST = timedelta(seconds=5)
LONGEST = timedelta(minutes=5)
FORGIVEN = timedelta(minutes=15)
"""A region that has not throttled for so long begins anew."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """`strikes` in a row, the last of which lasts `until`."""

    strikes: int
    until: datetime


def next_back_off(last: BackOff | None, now: datetime) -> BackOff:
    """One more throttled call. Those that were under way when the last one came do not count again."""
    if last is not None and now < last.until:
        return last
    strikes = 1 if last is None or now > last.until + FORGIVEN else last.strikes + 1
    length: timedelta = min(FIRST * (1 << min(strikes - 1, 10)), LONGEST)
    return BackOff(strikes, now + length)
