"""Roll up: the total of each day that is over is counted once and kept, so that nobody reads its records again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.account_days import LATE
from chalicelib.domain.usage_days import midnight
from chalicelib.usecases.count_days import ROLLED_UP

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.ports import Clock, UsageRecords
    from chalicelib.usecases.count_days import CountDays
    from chalicelib.usecases.price_book import PriceBook

WAITS_FOR_PRICES = timedelta(days=7)
"""A day of which a price could not be asked for is tried again for so long; then it is kept with the unknown in it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RolledUp:
    """How many totals (of days and kinds) were kept now, and how many wait for a price."""

    kept: int
    waiting: int


@dataclass(slots=True)
class RollUpSavings:
    """Runs each day. A day that it missed, or in the middle of which it ended, is taken up by the next run."""

    records: UsageRecords
    counted: CountDays
    new_book: Callable[[], PriceBook]
    clock: Clock

    def run(self) -> RolledUp:
        """Raises CloudError, with every day before it kept."""
        now = self.clock.now()
        first = (now - ROLLED_UP).date()
        done = {(total.day, total.dry_run) for total in self.records.totals(first, now.date())}
        kept = waiting = 0
        day = first
        while midnight(day + timedelta(days=1)) + LATE <= now:
            for dry_run in (False, True):
                if (day, dry_run) in done:
                    continue
                book = self.new_book()
                total = self.counted.count(day, now, book, dry_run=dry_run)
                if book.failed and now < midnight(day) + WAITS_FOR_PRICES:
                    log.warning("a day waits for its prices", extra={"day": day.isoformat()})
                    waiting += 1
                    continue
                self.records.keep_total(total)
                kept += 1
            day += timedelta(days=1)
        return RolledUp(kept, waiting)
