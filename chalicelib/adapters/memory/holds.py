"""Places to wait in, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.domain.holding import PLACES

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.ports import Clock


class MemoryHolds:
    """Implements Holds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[tuple[str, str, int], tuple[str, datetime]] = {}

    def take(self, load_balancer_id: str, rule_id: str, holder: str, until: datetime) -> int | None:
        for place in range(PLACES):
            key = (load_balancer_id, rule_id, place)
            if key not in self._held or self._held[key][1] <= self._clock.now():
                self._held[key] = (holder, until)
                return place
        return None

    def give_back(self, load_balancer_id: str, rule_id: str, holder: str, place: int) -> None:
        key = (load_balancer_id, rule_id, place)
        if key in self._held and self._held[key][0] == holder:
            del self._held[key]
