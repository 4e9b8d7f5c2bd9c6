"""Back-offs of regions in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.domain.throttling import BackOff, next_back_off

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.resources import Place


class MemoryBackOffs:
    """Implements BackOffs."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], BackOff] = {}

    def until(self, place: Place) -> datetime | None:
        known = self._known.get(_where(place))
        return known.until if known else None

    def throttled(self, place: Place, now: datetime) -> datetime:
        after = next_back_off(self._known.get(_where(place)), now)
        self._known[_where(place)] = after
        return after.until


def _where(place: Place) -> tuple[str, ...]:
    """AWS counts by account, whatever role asks."""
    return place.kind, place.region, place.connector.account
