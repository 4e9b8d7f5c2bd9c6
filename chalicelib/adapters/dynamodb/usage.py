"""Records of usage, and the account's totals of days."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException

from chalicelib.adapters.dynamodb.codec import dump, know, load
from chalicelib.adapters.dynamodb.cursors import decode, encode, not_ours
from chalicelib.adapters.dynamodb.errors import condition_failed, overtaken, translated
from chalicelib.adapters.dynamodb.models import UsageItem
from chalicelib.domain import intervals, products, usage, usage_days
from chalicelib.domain.errors import VersionMismatchError
from chalicelib.domain.usage_days import KEPT, UsageDay, midnight
from chalicelib.ports import Page

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from chalicelib.domain.account_days import AccountDay
    from chalicelib.ports import Clock

know(intervals, products, usage, usage_days)

ACCOUNT = "account"
"""The hash key of totals: no rule has such an id."""

_TOTAL = "total#"
_LAST = "~"
"""Behind whatever is written after a day."""


class DynamoUsage:
    """Implements UsageRecords."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def of_rule(self, rule_id: str, first: date, last: date) -> tuple[UsageDay, ...]:
        if first > last:
            return ()
        between = UsageItem.day.between(first.isoformat(), last.isoformat() + _LAST)
        with translated():
            found = list(UsageItem.query(rule_id, between, consistent_read=True))
        return tuple(_record(item) for item in self._live(found))

    def save(self, record: UsageDay) -> UsageDay:
        new = replace(record, version=record.version + 1)
        item = UsageItem(
            record.rule_id,
            _key(record.day, dry_run=record.dry_run),
            body=dump(replace(record, version=0)),
            version=new.version,
            expires=midnight(record.day) + KEPT,
        )
        as_read = UsageItem.version == record.version if record.version else UsageItem.rule_id.does_not_exist()
        with translated():
            try:
                item.save(condition=as_read)
            except PynamoDBException as error:
                if overtaken(error):
                    raise VersionMismatchError(f"The usage of {record.rule_id} was written by another.") from error
                raise
        return new

    def of_day(self, day: date, limit: int, cursor: str | None = None, *, dry_run: bool) -> Page[UsageDay]:
        key, place = _key(day, dry_run=dry_run), decode(cursor, ("rule_id", "day"))
        if place is not None and place["day"]["S"] != key:
            raise not_ours()
        with translated():
            found = UsageItem.by_day.query(key, limit=limit, last_evaluated_key=place)
            records = tuple(_record(item) for item in self._live(found))
            return Page(records, encode(found.last_evaluated_key))

    def totals(self, first: date, last: date) -> tuple[AccountDay, ...]:
        if first > last:
            return ()
        between = UsageItem.day.between(_TOTAL + first.isoformat(), _TOTAL + last.isoformat() + _LAST)
        with translated():
            found = list(UsageItem.query(ACCOUNT, between))
        # Imported when it is asked for: the worker records usage, and knows nothing of savings.
        from chalicelib.domain import account_days, savings  # noqa: PLC0415

        know(account_days, savings)
        return tuple(load(account_days.AccountDay, item.body) for item in self._live(found))

    def keep_total(self, total: AccountDay) -> None:
        key = _TOTAL + _key(total.day, dry_run=total.dry_run)
        item = UsageItem(ACCOUNT, key, body=dump(total), version=1, expires=midnight(total.day) + KEPT)
        with translated():
            try:
                item.save(condition=UsageItem.rule_id.does_not_exist())
            except PynamoDBException as error:
                if not condition_failed(error):
                    raise

    def _live(self, found: Iterable[UsageItem]) -> Iterable[UsageItem]:
        now = self._clock.now()
        return (item for item in found if item.expires > now)


def _key(day: date, *, dry_run: bool) -> str:
    return f"{day.isoformat()}#dry-run" if dry_run else day.isoformat()


def _record(item: UsageItem) -> UsageDay:
    return replace(load(UsageDay, item.body), version=int(item.version))
