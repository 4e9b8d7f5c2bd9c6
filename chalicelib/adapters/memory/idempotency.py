"""Idempotency keys in memory: the first answer is given again for a day."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.errors import ConflictError

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.ports import Clock, Idempotency

KEPT = timedelta(hours=24)


class Answers:
    """What the keys of one kind of thing answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[str, str, datetime]] = {}

    def first(self, idempotency: Idempotency | None) -> str | None:
        """The id that this key answers, if it was used. Raises ConflictError where it was used for another request."""
        if idempotency is None or idempotency.key not in self._known:
            return None
        fingerprint, id_, expires = self._known[idempotency.key]
        if expires <= self._clock.now():
            return None
        if fingerprint != idempotency.fingerprint:
            raise ConflictError("This Idempotency-Key was used for another request.")
        return id_

    def remember(self, idempotency: Idempotency | None, id_: str) -> None:
        """Let the key answer this id from now on."""
        if idempotency is not None:
            self._known[idempotency.key] = (idempotency.fingerprint, id_, self._clock.now() + KEPT)
