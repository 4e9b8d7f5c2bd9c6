"""Savings: what rules saved against being always on, and against their own schedules alone. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.account_days import account_period
from chalicelib.domain.costs import SharedCost, UnknownCost
from chalicelib.domain.looks import overdue
from chalicelib.domain.savings import account_savings, rule_savings
from chalicelib.domain.usage import Period
from chalicelib.domain.usage_days import midnight, usage_of
from chalicelib.usecases.count_days import ROLLED_UP

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from chalicelib.domain.account_days import AccountPeriod
    from chalicelib.domain.rules import Rule
    from chalicelib.domain.savings import AccountSavings, RuleSavings
    from chalicelib.domain.usage_days import UsageDay
    from chalicelib.ports import Clock, RuleRepository, UsageRecords
    from chalicelib.usecases.count_days import CountDays
    from chalicelib.usecases.price_book import PriceBook

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SavingsOfRule:
    """One rule in [start, end): what was, and what would have been while it was in dry run. Both may be empty."""

    rule: Rule
    start: datetime
    end: datetime
    actual: AccountSavings
    would: AccountSavings


@dataclass(frozen=True, slots=True)
class SavingsOfAccount:
    """The whole account in [start, end), which are whole UTC days: what was, and what would have been."""

    start: datetime
    end: datetime
    actual: AccountPeriod
    would: AccountPeriod


@dataclass(slots=True)
class Savings:
    """Reads the records; `new_book` opens the prices of one answer."""

    rules: RuleRepository
    records: UsageRecords
    counted: CountDays
    new_book: Callable[[], PriceBook]
    clock: Clock

    def of_rule(self, rule_id: str, start: datetime, end: datetime) -> SavingsOfRule:
        """Exact to the moments asked for. One query of its records. Raises NotFoundError, CloudError."""
        rule, now = self.rules.get(rule_id), self.clock.now()
        asked = Period.of(start, end, now)
        reports: list[RuleSavings] = []
        if asked.days:
            last = asked.days[-1].date
            found = self.records.of_rule(rule_id, asked.days[0].date, last + _ONE_DAY)
            by_day = {(record.day, record.dry_run): record for record in found}
            book = self.new_book()
            for record in found:
                if record.day <= last:
                    following = by_day.get((record.day + _ONE_DAY, record.dry_run))
                    reports.append(self._day(rule, record, following, asked, book))
        actual, would = (account_savings(reports, dry_run=dry_run) for dry_run in (False, True))
        return SavingsOfRule(rule, asked.start, max(asked.start, asked.end), actual, would)

    def of_account(self, start: datetime, end: datetime) -> SavingsOfAccount:
        """Of every UTC day that is touched. Days that are not rolled up are counted now. Raises CloudError."""
        now = self.clock.now()
        asked = Period.of(start, end, now)
        if not asked.days:
            return SavingsOfAccount(asked.start, asked.start, account_period(()), account_period(()))
        first, last = asked.days[0].date, asked.days[-1].date
        totals = {(total.day, total.dry_run): total for total in self.records.totals(first, last)}
        book = self.new_book()
        day = max(first, (now - ROLLED_UP).date())
        while day <= last:
            for dry_run in (False, True):
                if (day, dry_run) not in totals:
                    totals[day, dry_run] = self.counted.count(day, now, book, dry_run=dry_run)
            day += _ONE_DAY
        actual, would = (account_period(t for t in totals.values() if t.dry_run is kind) for kind in (False, True))
        return SavingsOfAccount(midnight(first), min(midnight(last + _ONE_DAY), now), actual, would)

    def _day(
        self, rule: Rule, record: UsageDay, following: UsageDay | None, asked: Period, book: PriceBook
    ) -> RuleSavings:
        seen, now = rule.status.observed_at, self.clock.now()
        if record.dry_run is not rule.spec.dry_run or (seen is not None and seen > record.end):
            seen = None  # a later look would have begun the next day's record
        elif seen is not None and not overdue(rule, now):
            seen = now  # no look was due since, and EC2 tells of each change
        carried = following.carried if following is not None else frozenset[str]()
        usage = usage_of(record, carried, seen, book.of_product, self._proxy(record, book))
        period = Period.of(max(asked.start, record.start), min(asked.end, record.end), now)
        return rule_savings(usage, period, dry_run=record.dry_run)

    def _proxy(self, record: UsageDay, book: PriceBook) -> tuple[SharedCost, ...]:
        """Its proxy, in equal parts with the rules that are on it now: one query cannot tell who was on it then."""
        id_ = record.load_balancer_id
        if id_ is None or record.on_it is None:
            return ()
        hourly = book.of_proxy(id_)
        part = hourly if isinstance(hourly, UnknownCost) else hourly / max(book.rules_on(id_), 1)
        return (SharedCost(id_, part, {record.rule_id: [record.on_it]}),)
