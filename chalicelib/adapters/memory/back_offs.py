"""Back-offs of regions in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.domain.throttling import BackOff, next_back_off

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.resources import ResourceKind


class MemoryBackOffs:
    """Implements BackOffs."""

    def __init__(self) -> None:
        self._known: dict[tuple[ResourceKind, str], BackOff] = {}

    def until(self, kind: ResourceKind, region: str) -> datetime | None:
        known = self._known.get((kind, region))
        return known.until if known else None

    def throttled(self, kind: ResourceKind, region: str, now: datetime) -> datetime:
        after = next_back_off(self._known.get((kind, region)), now)
        self._known[kind, region] = after
        return after.until
