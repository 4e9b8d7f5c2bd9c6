"""Idempotency keys: the first answer is given again for a day.

A key is stored in the transaction that makes what it answers, so that it never names a thing that is not there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.errors import translated
from chalicelib.adapters.dynamodb.models import ClaimItem
from chalicelib.domain.errors import ConflictError

if TYPE_CHECKING:
    from datetime import datetime

    from pynamodb.transactions import TransactWrite

    from chalicelib.ports import Idempotency

KEPT = timedelta(hours=24)


def answered(kind: str, idempotency: Idempotency | None, now: datetime) -> str | None:
    """The id that this key answers, if it was used. Raises ConflictError where it was used for another request."""
    if idempotency is None:
        return None
    with translated():
        try:
            item = ClaimItem.get(_key(kind, idempotency), consistent_read=True)
        except ClaimItem.DoesNotExist:
            return None
    if item.expires is not None and item.expires <= now:
        return None
    if item.fingerprint != idempotency.fingerprint:
        raise ConflictError("This Idempotency-Key was used for another request.")
    return item.owner


def remember(write: TransactWrite, kind: str, id_: str, idempotency: Idempotency | None, now: datetime) -> None:
    """Let the key answer this id from now on. A key that has expired is free, also while it is still stored."""
    if idempotency is None:
        return
    item = ClaimItem(_key(kind, idempotency), owner=id_, fingerprint=idempotency.fingerprint, expires=now + KEPT)
    write.save(item, condition=ClaimItem.key.does_not_exist() | (ClaimItem.expires <= now))


def _key(kind: str, idempotency: Idempotency) -> str:
    return f"idempotency#{kind}#{idempotency.key}"
