"""How many requests wait for a rule at the same time, over all processes of the warm-up function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class Holds(Protocol):
    """Places to wait in. One that nobody gives back, because its process died, is free again at its end."""

    def take(self, load_balancer_id: str, rule_id: str, holder: str, until: datetime) -> int | None:
        """A place for `holder`; None where none was found, which can be before the last is taken, never after it."""
        ...

    def give_back(self, load_balancer_id: str, rule_id: str, holder: str, place: int) -> None:
        """The place is free, unless it is another's by now."""
        ...
