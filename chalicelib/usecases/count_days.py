"""Count a day of the whole account from the records of its rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.account_days import account_day

if TYPE_CHECKING:
    from datetime import date, datetime

    from chalicelib.domain.account_days import AccountDay
    from chalicelib.domain.usage_days import UsageDay
    from chalicelib.ports import UsageRecords
    from chalicelib.usecases.price_book import PriceBook

PAGE = 1000
ROLLED_UP = timedelta(days=35)
"""How far back a day without a total is counted: whatever is older was rolled up, or had nothing in it."""


@dataclass(slots=True)
class CountDays:
    """Reads every rule's record of the day, and of the next one, which proves how the day ended."""

    records: UsageRecords

    def count(self, day: date, now: datetime, book: PriceBook, *, dry_run: bool) -> AccountDay:
        """A day that is over, or the part of today that has passed. Raises CloudError."""
        found = self._all(day, dry_run=dry_run)
        carried_on: dict[str, frozenset[str]] = {}
        following = day + timedelta(days=1)
        if found and following <= now.date():
            carried_on = {record.rule_id: record.carried for record in self._all(following, dry_run=dry_run)}
        return account_day(day, found, carried_on, now, book, dry_run=dry_run)

    def _all(self, day: date, *, dry_run: bool) -> list[UsageDay]:
        found: list[UsageDay] = []
        cursor: str | None = None
        while True:
            page = self.records.of_day(day, PAGE, cursor, dry_run=dry_run)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return found
