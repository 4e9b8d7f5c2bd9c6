"""API keys: made, listed, deleted. The secret is shown once and never stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.access import ApiKey, Role, hash_secret
from chalicelib.domain.errors import Fault, InvalidInputError, NotFoundError
from chalicelib.domain.events import Event, EventKind

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.ports import ApiKeyRepository, Clock, EventLog, Ids, LoadBalancerRepository, Page


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made, and its token `ak_ID_SECRET`: the only time that it is seen."""

    key: ApiKey
    token: str


@dataclass(slots=True)
class ManageApiKeys:
    """Create, list, delete."""

    keys: ApiKeyRepository
    balancers: LoadBalancerRepository
    events: EventLog
    clock: Clock
    ids: Ids

    def create(
        self, role: Role, name: str, by: str, *, expires_at: datetime | None = None, load_balancer_id: str | None = None
    ) -> NewKey:
        """Make a key. A proxy key is bound to one load balancer; other keys to none. Raises InvalidInputError."""
        now = self.clock.now()
        faults = []
        if role is Role.PROXY and load_balancer_id is None:
            faults.append(Fault("load_balancer_id", "is needed for a key of role proxy"))
        if role is not Role.PROXY and load_balancer_id is not None:
            faults.append(Fault("load_balancer_id", "is for keys of role proxy only"))
        if expires_at is not None and expires_at <= now:
            faults.append(Fault("expires_at", "is not in the future"))
        if load_balancer_id is not None:
            try:
                self.balancers.get(load_balancer_id)
            except NotFoundError as error:
                faults.append(Fault("load_balancer_id", str(error)))
        if faults:
            raise InvalidInputError(tuple(faults))
        secret = self.ids.secret()
        key = ApiKey(self.ids.new("ak"), hash_secret(secret), role, name, now, expires_at, load_balancer_id)
        self.keys.create(key)
        self._tell(key, EventKind.KEY_CREATED, by, f"Key {key.id} of role {role} was created.")
        return NewKey(key, f"{key.id}_{secret}")

    def page(self, limit: int, cursor: str | None) -> Page[ApiKey]:
        """Raises InvalidInputError for a cursor that is not ours."""
        return self.keys.list(limit, cursor)

    def delete(self, key_id: str, by: str) -> None:
        """Raises NotFoundError."""
        key = self.keys.get(key_id)
        self.keys.delete(key_id)
        self._tell(key, EventKind.KEY_DELETED, by, f"Key {key.id} of role {key.role} was deleted.")

    def _tell(self, key: ApiKey, kind: EventKind, by: str, words: str) -> None:
        self.events.append([Event(self.ids.new("ev"), self.clock.now(), kind, key.id, f"key {by}", words)])
