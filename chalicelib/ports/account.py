"""What belongs to the whole account: keys, the history, back-offs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from chalicelib.domain.access import ApiKey
    from chalicelib.domain.events import Event
    from chalicelib.domain.resources import Place
    from chalicelib.ports.basics import Page


class ApiKeyRepository(Protocol):
    """API keys; only a hash of the secret is ever stored."""

    def create(self, key: ApiKey) -> None:
        """Store it."""
        ...

    def get(self, key_id: str) -> ApiKey:
        """One consistent item read. Raises NotFoundError."""
        ...

    def list(self, limit: int, cursor: str | None = None) -> Page[ApiKey]:
        """Every key, in no order."""
        ...

    def delete(self, key_id: str) -> None:
        """Raises NotFoundError."""
        ...


class EventLog(Protocol):
    """The append-only history."""

    def append(self, events: Sequence[Event]) -> None:
        """Store them; an event stored twice (same id) is one event."""
        ...

    def of_rule(
        self, rule_id: str, start: datetime, end: datetime, limit: int, cursor: str | None = None
    ) -> Page[Event]:
        """Events of a rule in [start, end), newest first; expired ones are left out."""
        ...

    def all(self, start: datetime, end: datetime, limit: int, cursor: str | None = None) -> Page[Event]:
        """Events of the whole account in [start, end), newest first."""
        ...


class BackOffs(Protocol):
    """AWS throttles an account in a region, not a rule: whoever is throttled slows all of its kind down there."""

    def until(self, place: Place) -> datetime | None:
        """Until when nothing is to be asked there; None, or a time that has passed, when all is well. One read."""
        ...

    def throttled(self, place: Place, now: datetime) -> datetime:
        """AWS has just asked to slow down: back off (`domain.throttling`); answers until when."""
        ...
