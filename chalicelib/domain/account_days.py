"""The whole account, day by day: the total of a day that is over is rolled up once and kept; a period is their sum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from chalicelib.domain.costs import SharedCost
from chalicelib.domain.decisions import AT_REST
from chalicelib.domain.savings import DayLine, account_savings, rule_savings, summed
from chalicelib.domain.usage import Period
from chalicelib.domain.usage_days import usage_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from chalicelib.domain.costs import HourlyCost
    from chalicelib.domain.intervals import Stretch
    from chalicelib.domain.products import Product
    from chalicelib.domain.savings import Line, RuleSavings, Unpriced
    from chalicelib.domain.usage_days import UsageDay

MOST_NAMED = 100
"""Ids of a list that a total names; of the others it has the number."""


LATE = AT_REST + timedelta(hours=1)
"""By then the first looks of the next day have come, of the rules that rest as well."""


class Costs(Protocol):
    """What an hour costs."""

    def of_product(self, product: Product) -> HourlyCost:
        """Of a resource that is up."""

    def of_proxy(self, load_balancer_id: str) -> HourlyCost:
        """Of a load balancer with all its members."""


@dataclass(frozen=True, slots=True)
class AccountDay:
    """The total of one UTC day and kind.

    `line` is all of it, its money None where any of it is unknown; `priced` is of the rules whose every cost is known.
    `left_out` are the ids of the others and `unknown_cost` what has no price: at most 100 of each, and their number.
    """

    day: date
    dry_run: bool
    rules: int
    has_schedules: bool
    line: Line
    priced: Line
    left_out: tuple[str, ...] = ()
    left_out_count: int = 0
    unknown_cost: tuple[Unpriced, ...] = ()
    unknown_cost_count: int = 0


@dataclass(frozen=True, slots=True)
class AccountPeriod:
    """The sum of such days, and the days themselves. A number is at least that of any of the days."""

    days: tuple[DayLine, ...]
    total: Line
    priced: Line
    left_out: tuple[str, ...]
    left_out_count: int
    unknown_cost: tuple[Unpriced, ...]
    unknown_cost_count: int


def account_day(
    day: date,
    records: Sequence[UsageDay],
    carried_on: Mapping[str, frozenset[str]],
    now: datetime,
    costs: Costs,
    *,
    dry_run: bool,
) -> AccountDay:
    """Count one day from the records of all rules. `carried_on` has the `carried` of the next day, by rule id.

    At each moment a proxy is borne by the rules that were on it then.
    """
    members: dict[str, dict[str, list[Stretch]]] = {}
    for record in records:
        if record.load_balancer_id is not None and record.on_it is not None:
            members.setdefault(record.load_balancer_id, {})[record.rule_id] = [record.on_it]
    shared = {id_: SharedCost(id_, costs.of_proxy(id_), rules) for id_, rules in members.items()}
    reports: list[RuleSavings] = []
    for record in records:
        borne = shared.get(record.load_balancer_id or "")
        carried = carried_on.get(record.rule_id, frozenset())
        # The first looks of the next day take a moment to come; what has none by then was lost sight of.
        seen = now if now < record.end + LATE else None
        usage = usage_of(record, carried, seen, costs.of_product, (borne,) if borne else ())
        reports.append(rule_savings(usage, Period.of(record.start, record.end, now), dry_run=dry_run))
    whole = account_savings(reports, dry_run=dry_run)
    return AccountDay(
        day,
        dry_run,
        len(reports),
        any(report.has_schedules for report in reports),
        whole.total,
        whole.priced,
        whole.left_out[:MOST_NAMED],
        len(whole.left_out),
        whole.unknown_cost[:MOST_NAMED],
        len(whole.unknown_cost),
    )


def account_period(days: Iterable[AccountDay]) -> AccountPeriod:
    """The sum of days of one kind. On a day on which no rule had schedules, schedules alone would have left all on."""
    counted = sorted((day for day in days if day.rules), key=attrgetter("day"))
    has_schedules = any(day.has_schedules for day in counted)

    def whole(line: Line, day: AccountDay) -> Line:
        if day.has_schedules or not has_schedules:
            return line
        return replace(line, baseline_schedules=line.baseline_always_on)

    lines = [whole(day.line, day) for day in counted]
    left_out = tuple(dict.fromkeys(id_ for day in counted for id_ in day.left_out))
    unknown_cost = tuple(dict.fromkeys(unpriced for day in counted for unpriced in day.unknown_cost))
    return AccountPeriod(
        tuple(DayLine(day.day, line) for day, line in zip(counted, lines, strict=True)),
        summed(lines, has_schedules=has_schedules),
        summed((whole(day.priced, day) for day in counted), has_schedules=has_schedules),
        left_out[:MOST_NAMED],
        max((len(left_out), *(day.left_out_count for day in counted))),
        unknown_cost[:MOST_NAMED],
        max((len(unknown_cost), *(day.unknown_cost_count for day in counted))),
    )
