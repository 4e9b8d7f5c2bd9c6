"""Phase one of a stop: the diversion of new connections, and who carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

SETTLING = timedelta(seconds=60)
"""For so long after a change of weights the nodes of an ALB may still send by the old ones (research, A9)."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Phase one of a stop: new connections are diverted since `since`, until `until` unless renewed.

    `version` is the version of the proxy's `states` part that carries it: a member that has applied that version
    or a later one diverts. A member that has missed the last renewal undoes it at `earlier_until`, by what it has.
    """

    since: datetime
    until: datetime
    version: int
    earlier_until: datetime | None = None
    earlier_version: int | None = None

    def renewed(self, version: int, until: datetime) -> Drain:
        """The same drain, for longer."""
        return Drain(self.since, until, version, self.until, self.version)

    def holds_on(self, states_version: int, now: datetime) -> bool:
        """Whether a member with this version of the states diverts now."""
        if states_version >= self.version:
            return now < self.until
        if self.earlier_version is None or self.earlier_until is None:
            return False
        return states_version >= self.earlier_version and now < self.earlier_until
