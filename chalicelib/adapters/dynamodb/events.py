"""The history."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.cursors import decode, encode, not_ours
from chalicelib.adapters.dynamodb.errors import translated
from chalicelib.adapters.dynamodb.models import EventItem
from chalicelib.domain.events import Event
from chalicelib.ports import Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from chalicelib.ports import Clock

KEPT = timedelta(days=90)
_ONE_DAY = timedelta(days=1)
_Key = dict[str, dict[str, Any]]


class DynamoEvents:
    """Implements EventLog."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def append(self, events: Sequence[Event]) -> None:
        with translated(), EventItem.batch_write() as batch:
            for event in {event.id: event for event in events}.values():
                batch.save(
                    EventItem(
                        event.subject,
                        _order(event.at, event.id),
                        day=event.at.astimezone(UTC).strftime("%Y-%m-%d"),
                        body=dump(event),
                        expires=event.at + KEPT,
                    )
                )

    def of_rule(
        self, rule_id: str, start: datetime, end: datetime, limit: int, cursor: str | None = None
    ) -> Page[Event]:
        key = decode(cursor, ("subject", "order"))
        if key is not None and key["subject"]["S"] != rule_id:
            raise not_ours()
        first, last, key = _within(_order(start), _order(end), key)
        if first >= last:
            return Page(())
        with translated():
            found = EventItem.query(
                rule_id,
                EventItem.order.between(first, last),
                scan_index_forward=False,
                limit=limit,
                last_evaluated_key=key,
            )
            return Page(self._live(found), encode(found.last_evaluated_key))

    def all(self, start: datetime, end: datetime, limit: int, cursor: str | None = None) -> Page[Event]:
        """Walks back a day at a time; the cursor holds the place in the day that the page ended in."""
        key = decode(cursor, ("subject", "order", "day"))
        if key is not None and key["order"]["S"][:10] != key["day"]["S"]:
            raise not_ours()
        oldest = max(start, self._clock.now() - KEPT)
        first, last, key = _within(_order(oldest), _order(end), key)
        if first >= last:
            return Page(())
        day = min(end, self._clock.now() + _ONE_DAY).astimezone(UTC).date()
        if key is not None:
            day = date.fromisoformat(key["day"]["S"])
        between = EventItem.order.between(first, last)
        events: list[Event] = []
        while day >= oldest.astimezone(UTC).date():
            with translated():
                found = EventItem.by_day.query(
                    day.isoformat(),
                    between,
                    scan_index_forward=False,
                    limit=limit - len(events),
                    last_evaluated_key=key,
                )
                events += self._live(found)
                key = found.last_evaluated_key
            if len(events) >= limit:
                return Page(tuple(events), encode(_key(events[-1])))
            if key is None:
                day -= _ONE_DAY
        return Page(tuple(events))

    def _live(self, found: Iterable[EventItem]) -> tuple[Event, ...]:
        now = self._clock.now()
        return tuple(load(Event, item.body) for item in found if item.expires > now)


def _within(first: str, last: str, key: _Key | None) -> tuple[str, str, _Key | None]:
    """The range of orders that is left behind a key, and the key if it lies in the range.

    DynamoDB refuses a query that starts outside its range, or whose range is upside down.
    """
    if key is None:
        return first, last, None
    place = key["order"]["S"]
    if not _is_day(place[:10]):
        raise not_ours()
    if place <= first:
        return first, first, None
    return first, last, key if place < last else None


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _key(event: Event) -> dict[str, dict[str, str]]:
    """Where a page ends: its last event, also where its day ends there too."""
    day = event.at.astimezone(UTC).strftime("%Y-%m-%d")
    return {"subject": {"S": event.subject}, "order": {"S": _order(event.at, event.id)}, "day": {"S": day}}


def _order(at: datetime, id_: str = "") -> str:
    return f"{at.astimezone(UTC).isoformat(timespec='microseconds')}#{id_}"
