"""What belongs to the whole account: keys, the history, back-offs, switches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from chalicelib.domain.access import ApiKey
    from chalicelib.domain.account import AccountSettings
    from chalicelib.domain.events import Event
    from chalicelib.domain.resources import Place
    from chalicelib.ports.basics import Page


class ApiKeyRepository(Protocol):
    """API keys; only a hash of the secret is ever stored."""

    def create(self, key: ApiKey) -> None:
        """Store it; with the poll state of its load balancer, if it is bound to one. Raises NotFoundError for that."""
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


class AccountStore(Protocol):
    """What people set for the whole account, and the stops that begin in it."""

    def settings(self) -> AccountSettings:
        """One consistent read; the defaults, at version 0, where nothing was ever set."""
        ...

    def put(self, before: AccountSettings, after: AccountSettings) -> AccountSettings:
        """Store `after` at the version after that of `before`. Raises VersionMismatchError."""
        ...

    def begin_stops(self, count: int, limit: int | None, now: datetime) -> bool:
        """Whether `count` resources may begin to be stopped now; if so they are counted in the minute of `now`.

        Never while the account is paused, as it is at this moment. `limit` resources a minute, None for any number;
        the first of a minute may be more than that. Exact under any number of workers.
        """
        ...
