"""The two clocks of the agent, so that tests can bring their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """The time of day, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        ...


class SystemClock:
    """The machine's."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC with `Z`, to the millisecond."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
