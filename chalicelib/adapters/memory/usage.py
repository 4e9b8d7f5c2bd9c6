"""Records of usage in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.adapters.memory.paging import page
from chalicelib.domain.errors import VersionMismatchError
from chalicelib.domain.usage_days import KEPT, midnight

if TYPE_CHECKING:
    from datetime import date

    from chalicelib.domain.account_days import AccountDay
    from chalicelib.domain.usage_days import UsageDay
    from chalicelib.ports import Clock, Page


class MemoryUsage:
    """Implements UsageRecords. `writes` counts what was stored."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: dict[tuple[str, date, bool], UsageDay] = {}
        self._totals: dict[tuple[date, bool], AccountDay] = {}
        self.writes = 0

    def of_rule(self, rule_id: str, first: date, last: date) -> tuple[UsageDay, ...]:
        keys = sorted(key for key in self._records if key[0] == rule_id and first <= key[1] <= last)
        return tuple(self._records[key] for key in keys if self._is_kept(key[1]))

    def save(self, record: UsageDay) -> UsageDay:
        key = (record.rule_id, record.day, record.dry_run)
        stored = self._records.get(key)
        if (stored.version if stored else 0) != record.version:
            raise VersionMismatchError(f"The usage of {record.rule_id} was written by another.")
        self._records[key] = new = replace(record, version=record.version + 1)
        self.writes += 1
        return new

    def of_day(self, day: date, limit: int, cursor: str | None = None, *, dry_run: bool) -> Page[UsageDay]:
        kind = (day, dry_run)
        found = [r for r in self._records.values() if (r.day, r.dry_run) == kind and self._is_kept(day)]
        return page(found, limit, cursor, lambda record: [record.rule_id], of=f"usage of {day} {dry_run}")

    def totals(self, first: date, last: date) -> tuple[AccountDay, ...]:
        keys = sorted(key for key in self._totals if first <= key[0] <= last and self._is_kept(key[0]))
        return tuple(self._totals[key] for key in keys)

    def keep_total(self, total: AccountDay) -> None:
        self._totals.setdefault((total.day, total.dry_run), total)

    def _is_kept(self, day: date) -> bool:
        return self._clock.now() < midnight(day) + KEPT
