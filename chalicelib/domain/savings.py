"""What stopping saved: recorded intervals times hourly cost, against two baselines, net of what carries the traffic.

Money is USD as Decimal, exact to 10^-12 USD for each resource and day so that sums come out the same in any order;
it is rounded to cents only where it is shown. Time is resource time: a rule of three instances has 72 hours a day.

Only what was observed counts. Time that nobody observed, and time of which records contradict each other to our
advantage, is neither cost nor saving nor baseline: it stands in `unknown`.

What this cannot see, and a reader has to be told:

- A stopped resource still costs its storage: EBS volumes and Elastic IP addresses of an EC2 instance, storage and
  backups of a database. That is the same in both baselines, so it changes no saving, but `cost_actual` is compute only.
  https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Stop_Start.html
  https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html
- Prices are what is asked on demand: under Reserved Instances or Savings Plans a stop may save less, or nothing.
- Billing by the second has a minimum (60 seconds for EC2, 10 minutes for RDS) that is not added for short runs.
  https://aws.amazon.com/ec2/pricing/on-demand/ and https://aws.amazon.com/rds/pricing/
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.costs import MICROSECOND, NOTHING, UnknownCost, amount, hours, minus, plus
from chalicelib.domain.intervals import by_day, common, merged, utc, without
from chalicelib.domain.usage import CountedResource, IntervalState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date
    from decimal import Decimal

    from chalicelib.domain.intervals import Stretch
    from chalicelib.domain.resources import ResourceRef
    from chalicelib.domain.usage import Interval, Period, RuleUsage


@dataclass(frozen=True, slots=True)
class Line:
    """Time and money of a day, or of all days. Money is None where a cost is unknown.

    `baseline_schedules` is None for a rule without schedules as well. Baselines cover only the time that is known.
    """

    up: timedelta = timedelta()
    down: timedelta = timedelta()
    unknown: timedelta = timedelta()
    cost_actual: Decimal | None = NOTHING
    own_cost: Decimal | None = NOTHING
    baseline_always_on: Decimal | None = NOTHING
    baseline_schedules: Decimal | None = NOTHING

    def __add__(self, other: Line) -> Line:
        return Line(
            self.up + other.up,
            self.down + other.down,
            self.unknown + other.unknown,
            plus(self.cost_actual, other.cost_actual),
            plus(self.own_cost, other.own_cost),
            plus(self.baseline_always_on, other.baseline_always_on),
            plus(self.baseline_schedules, other.baseline_schedules),
        )

    @property
    def hours_total(self) -> Decimal:
        """Resource hours, known or not."""
        return hours(self.up + self.down + self.unknown)

    @property
    def hours_up(self) -> Decimal:
        """Resource hours that were paid for."""
        return hours(self.up)

    @property
    def hours_down(self) -> Decimal:
        """Resource hours that were not paid for."""
        return hours(self.down)

    @property
    def hours_unknown(self) -> Decimal:
        """Resource hours that nobody observed."""
        return hours(self.unknown)

    @property
    def savings_always_on(self) -> Decimal | None:
        """Against having everything up all the time; never negative."""
        return minus(self.baseline_always_on, self.cost_actual)

    @property
    def savings_schedules(self) -> Decimal | None:
        """Against the rule's own schedules alone; negative where traffic kept it up beyond them."""
        return minus(self.baseline_schedules, self.cost_actual)

    @property
    def net_always_on(self) -> Decimal | None:
        """`savings_always_on` less the part of proxy or load balancer, which without AutoStop nobody would need."""
        return minus(self.savings_always_on, self.own_cost)

    @property
    def net_schedules(self) -> Decimal | None:
        """`savings_schedules` less the same part: schedules alone need no proxy either."""
        return minus(self.savings_schedules, self.own_cost)


@dataclass(frozen=True, slots=True)
class DayLine:
    """A line of one calendar day."""

    day: date
    line: Line


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A resource, proxy or load balancer without a price, by id, and why."""

    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class RuleSavings:
    """One rule: days with time in them, their total, and what has no price. `dry_run`: it only would have been so."""

    rule_id: str
    dry_run: bool
    has_schedules: bool
    days: tuple[DayLine, ...]
    total: Line
    unknown_cost: tuple[Unpriced, ...]


@dataclass(frozen=True, slots=True)
class AccountSavings:
    """All rules. Money of `days` and `total` is None where any of it is unknown.

    `priced` is the total of the rules whose every cost is known, `left_out` names the others. In the baseline of
    schedules a rule without any counts as always on; it is None if no rule has schedules.
    """

    dry_run: bool
    days: tuple[DayLine, ...]
    total: Line
    priced: Line
    left_out: tuple[str, ...]
    unknown_cost: tuple[Unpriced, ...]


def rule_savings(usage: RuleUsage, period: Period, *, dry_run: bool = False) -> RuleSavings:
    """What one rule saved in a period; with `dry_run` what it would have saved, from its would-be records only."""
    records: dict[ResourceRef, list[Interval]] = defaultdict(list)
    for interval in usage.intervals:
        if interval.dry_run is dry_run:
            records[interval.resource].append(interval)
    scheduled = None if usage.schedule_spans is None else merged(usage.schedule_spans)
    lines = [summed((), has_schedules=scheduled is not None)] * len(period.days)
    unknown_cost: list[Unpriced] = []
    for resource in _with_strays(usage.resources, records, period):
        found = _lines(resource, records[resource.ref], period, scheduled)
        lines = [line + one for line, one in zip(lines, found, strict=True)]
        if isinstance(resource.hourly, UnknownCost) and any(one.hours_total for one in found):
            unknown_cost.append(Unpriced(resource.ref.id, resource.hourly.reason))
    for shared in usage.shared:
        parts = shared.shares(usage.rule_id, period.days)
        own = [amount(shared.hourly, part) if part else NOTHING for part in parts]
        lines = [replace(line, own_cost=plus(line.own_cost, one)) for line, one in zip(lines, own, strict=True)]
        if isinstance(shared.hourly, UnknownCost) and any(parts):
            unknown_cost.append(Unpriced(shared.id, shared.hourly.reason))
    days = tuple(DayLine(day.date, line) for day, line in zip(period.days, lines, strict=True))
    total = summed(lines, has_schedules=scheduled is not None)
    return RuleSavings(usage.rule_id, dry_run, scheduled is not None, days, total, tuple(dict.fromkeys(unknown_cost)))


def account_savings(reports: Iterable[RuleSavings], *, dry_run: bool = False) -> AccountSavings:
    """The sum of the rules' reports of one kind: what was saved and what would have been never stand in one number."""
    chosen = [report for report in reports if report.dry_run is dry_run]
    has_schedules = any(report.has_schedules for report in chosen)

    def whole(line: Line, report: RuleSavings) -> Line:
        if not has_schedules or report.has_schedules:
            return line
        return replace(line, baseline_schedules=line.baseline_always_on)

    by_date: dict[date, list[Line]] = defaultdict(list)
    for report in chosen:
        for day in report.days:
            by_date[day.day].append(whole(day.line, report))
    days = {day: summed(lines, has_schedules=has_schedules) for day, lines in sorted(by_date.items())}
    return AccountSavings(
        dry_run,
        tuple(DayLine(day, line) for day, line in days.items()),
        summed(days.values(), has_schedules=has_schedules),
        summed((whole(r.total, r) for r in chosen if not r.unknown_cost), has_schedules=has_schedules),
        tuple(dict.fromkeys(report.rule_id for report in chosen if report.unknown_cost)),
        tuple(dict.fromkeys(unpriced for report in chosen for unpriced in report.unknown_cost)),
    )


def summed(lines: Iterable[Line], *, has_schedules: bool) -> Line:
    """Their sum. Without schedules there is no baseline of schedules, also where there are no lines."""
    return sum(lines, Line(baseline_schedules=NOTHING if has_schedules else None))


def _with_strays(
    resources: Iterable[CountedResource], records: Mapping[ResourceRef, Sequence[Interval]], period: Period
) -> list[CountedResource]:
    """The resources of a rule, and those that only its records name: these left it, and are counted all the same."""
    found = list(resources)
    named = {resource.ref for resource in found}
    for ref, intervals in records.items():
        if ref not in named:
            since = min(utc(interval.start) for interval in intervals)
            until = max(period.end if interval.end is None else utc(interval.end) for interval in intervals)
            reason = UnknownCost("It has left the rule, and no price came with it.")
            found.append(CountedResource(ref, reason, since, until))
    return found


def _lines(
    resource: CountedResource,
    intervals: Sequence[Interval],
    period: Period,
    scheduled: Sequence[Stretch] | None,
) -> list[Line]:
    """One resource's days. Where records contradict each other, what claims the smallest saving is believed."""
    seen: dict[IntervalState, list[Stretch]] = {state: [] for state in IntervalState}
    for interval in intervals:
        end = interval.end or resource.seen_at or period.end
        seen[interval.state].append((interval.start, end))
    inside = (resource.since or period.start, resource.until or period.end)
    counted = common([(period.start, period.end)], merged([inside]))
    up = common(merged(seen[IntervalState.UP]), counted)
    doubted = merged(seen[IntervalState.UP] + seen[IntervalState.UNKNOWN])
    down = common(without(merged(seen[IntervalState.DOWN]), doubted), counted)
    known = merged(up + down)
    times = [by_day(stretches, period.days) for stretches in (counted, up, known)]
    would = by_day(common(known, scheduled), period.days) if scheduled is not None else [None] * len(period.days)

    def line(all_of_it: timedelta, up: timedelta, known: timedelta, would: timedelta | None) -> Line:
        # A cost that is unknown stays so where nobody looked: there is no telling that it was nothing.
        hourly = resource.hourly if all_of_it else NOTHING
        return Line(
            up,
            known - up,
            all_of_it - known,
            amount(hourly, up // MICROSECOND),
            NOTHING,
            amount(hourly, known // MICROSECOND),
            None if would is None else amount(hourly, would // MICROSECOND),
        )

    return [line(*day) for day in zip(*times, would, strict=True)]
