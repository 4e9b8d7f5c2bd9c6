"""Records of usage in memory."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
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
        self._records: dict[str, dict[tuple[date, bool], UsageDay]] = defaultdict(dict)
        self._totals: dict[tuple[date, bool], AccountDay] = {}
        self.writes = 0

    def of_rule(self, rule_id: str, first: date, last: date) -> tuple[UsageDay, ...]:
        days, day = self._records[rule_id], max(first, (self._clock.now() - KEPT).date())
        found: list[UsageDay] = []
        while day <= last:
            keys = ((day, False), (day, True))
            found += [days[key] for key in keys if key in days and self._is_kept(day)]
            day += timedelta(days=1)
        return tuple(found)

    def save(self, record: UsageDay) -> UsageDay:
        days, key = self._records[record.rule_id], (record.day, record.dry_run)
        stored = days.get(key)
        if (stored.version if stored else 0) != record.version:
            raise VersionMismatchError(f"The usage of {record.rule_id} was written by another.")
        days[key] = new = replace(record, version=record.version + 1)
        self.writes += 1
        return new

    def of_day(self, day: date, limit: int, cursor: str | None = None, *, dry_run: bool) -> Page[UsageDay]:
        kind = (day, dry_run)
        found = [days[kind] for days in self._records.values() if kind in days and self._is_kept(day)]
        return page(found, limit, cursor, lambda record: [record.rule_id], of=f"usage of {day} {dry_run}")

    def totals(self, first: date, last: date) -> tuple[AccountDay, ...]:
        keys = sorted(key for key in self._totals if first <= key[0] <= last and self._is_kept(key[0]))
        return tuple(self._totals[key] for key in keys)

    def keep_total(self, total: AccountDay) -> None:
        self._totals.setdefault((total.day, total.dry_run), total)

    def _is_kept(self, day: date) -> bool:
        return self._clock.now() < midnight(day) + KEPT
