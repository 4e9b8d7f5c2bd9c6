"""Back-offs of regions, seen by every worker."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException

from chalicelib.adapters.dynamodb.errors import condition_failed, translated
from chalicelib.adapters.dynamodb.models import BackOffItem
from chalicelib.adapters.dynamodb.times import from_micros, micros
from chalicelib.domain.throttling import BackOff, next_back_off

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.resources import Place

KEPT = timedelta(days=1)


class DynamoBackOffs:
    """Implements BackOffs."""

    def until(self, place: Place) -> datetime | None:
        known = self._read(place)
        return known.until if known else None

    def throttled(self, place: Place, now: datetime) -> datetime:
        last = self._read(place)
        after = next_back_off(last, now)
        if after == last:
            return after.until
        as_read = BackOffItem.until == micros(last.until) if last else BackOffItem.place.does_not_exist()
        item = BackOffItem(_key(place), strikes=after.strikes, until=micros(after.until), expires=now + KEPT)
        with translated():
            try:
                item.save(condition=as_read)
            except PynamoDBException as error:
                if not condition_failed(error):
                    raise
                # Another worker was throttled at the same time: its back-off is ours.
                return self.until(place) or after.until
        return after.until

    def _read(self, place: Place) -> BackOff | None:
        with translated():
            try:
                item = BackOffItem.get(_key(place), consistent_read=True)
            except BackOffItem.DoesNotExist:
                return None
        return BackOff(int(item.strikes), from_micros(item.until))


def _key(place: Place) -> str:
    """AWS counts by account, whatever role asks."""
    return "#".join(part for part in (place.kind, place.region, place.connector.account) if part)
