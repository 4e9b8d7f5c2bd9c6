"""What is counted as saved, and what never is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chalicelib.domain.costs import SharedCost, UnknownCost
from chalicelib.domain.intervals import days_of
from chalicelib.domain.resources import ResourceKind, ResourceRef
from chalicelib.domain.savings import Line, RuleSavings, Unpriced, account_savings, rule_savings
from chalicelib.domain.usage import CountedResource, Interval, IntervalState, Period, RuleUsage

FROM = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
UP, DOWN, UNKNOWN = IntervalState.UP, IntervalState.DOWN, IntervalState.UNKNOWN
WEB = ResourceRef(ResourceKind.EC2, "eu-central-1", "i-0web")
DB = ResourceRef(ResourceKind.RDS, "eu-central-1", "db")
NO_PRICE = UnknownCost("The AWS price list has no hourly price for x1.huge.")
PRICE = Decimal("0.0104")


def at(hours: float) -> datetime:
    return FROM + timedelta(hours=hours)


def record(start: float, end: float | None, state: IntervalState, ref: ResourceRef = WEB, **more: Any) -> Interval:
    return Interval(ref, at(start), None if end is None else at(end), state, **more)


def period(hours: float = 48, now: float | None = None, zone: Any = UTC) -> Period:
    return Period.of(FROM, at(hours), at(hours if now is None else now), zone)


def usage(*intervals: Interval, hourly: Any = PRICE, **more: Any) -> RuleUsage:
    return RuleUsage("ru_1", (CountedResource(WEB, hourly),), tuple(intervals), **more)


def total(*intervals: Interval, hours: float = 48, hourly: Any = PRICE, **more: Any) -> Line:
    return rule_savings(usage(*intervals, hourly=hourly, **more), period(hours)).total


# Time


def test_a_resource_that_was_up_for_a_quarter_of_a_day_saved_three_quarters_of_it():
    line = total(record(0, 6, UP), record(6, 24, DOWN), hours=24, hourly=Decimal("0.10"))
    assert (line.hours_total, line.hours_up, line.hours_down, line.hours_unknown) == (24, 6, 18, 0)
    assert line.cost_actual == Decimal("0.60")
    assert line.baseline_always_on == Decimal("2.40")
    assert line.savings_always_on == line.net_always_on == Decimal("1.80")


def test_time_that_nobody_observed_is_said_and_never_counted_as_saved():
    line = total(record(0, 6, UP), hours=24, hourly=Decimal("0.10"))
    assert (line.hours_total, line.hours_up, line.hours_unknown) == (24, 6, 18)
    assert line.baseline_always_on == Decimal("0.60")
    assert line.savings_always_on == 0


def test_an_open_interval_lasts_until_now_and_the_future_is_no_time_yet():
    line = rule_savings(usage(record(0, None, DOWN)), period(48, now=10)).total
    assert (line.hours_total, line.hours_down) == (10, 10)


def test_an_open_interval_is_not_proven_beyond_the_last_look():
    looked = CountedResource(WEB, PRICE, seen_at=at(4))
    line = rule_savings(RuleUsage("ru_1", (looked,), (record(0, None, DOWN),)), period(10)).total
    assert (line.hours_down, line.hours_unknown) == (4, 6)


def test_a_window_in_the_future_has_no_days_and_no_time():
    report = rule_savings(usage(record(0, None, DOWN)), Period.of(at(10), at(20), at(5)))
    assert report.days == ()
    assert (report.total.hours_total, report.total.cost_actual, report.total.baseline_schedules) == (0, 0, None)


def test_a_resource_counts_only_while_it_is_in_the_rule():
    member = CountedResource(WEB, PRICE, since=at(10), until=at(20))
    line = rule_savings(RuleUsage("ru_1", (member,), (record(0, 48, DOWN),)), period()).total
    assert (line.hours_total, line.hours_down) == (10, 10)


def test_a_resource_that_left_the_rule_is_counted_as_long_as_it_was_recorded_and_has_no_price():
    report = rule_savings(usage(record(0, 48, UP), record(2, 5, DOWN, DB), record(5, None, UP, DB)), period(8))
    assert report.total.hours_total == 8 + 6
    assert report.total.cost_actual is None
    assert [unpriced.subject for unpriced in report.unknown_cost] == ["db"]


def test_a_resource_that_left_before_the_window_is_no_matter():
    report = rule_savings(usage(record(0, 48, UP), record(-9, -5, DOWN, DB)), period())
    assert report.total.cost_actual == 48 * PRICE
    assert report.unknown_cost == ()


@pytest.mark.parametrize(
    ("records", "up", "down", "unknown"),
    [
        ([record(0, 10, UP), record(5, 15, DOWN)], 10, 5, 0),
        ([record(0, 10, DOWN), record(5, 15, UNKNOWN)], 0, 5, 10),
        ([record(0, 10, UNKNOWN), record(5, 15, UP)], 10, 0, 5),
        ([record(0, 15, DOWN), record(0, 15, DOWN)], 0, 15, 0),
        ([record(9, 3, UP), record(3, 3, DOWN)], 0, 0, 15),
    ],
)
def test_of_records_that_contradict_each_other_the_one_that_claims_least_is_believed(records, up, down, unknown):
    line = total(*records, hours=15)
    assert (line.hours_up, line.hours_down, line.hours_unknown) == (up, down, unknown)


def test_days_are_those_of_the_zone_and_as_long_as_its_clocks_make_them():
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 3, 28, tzinfo=berlin)
    asked = Period.of(start, datetime(2026, 3, 31, tzinfo=berlin), at(1000), berlin)
    report = rule_savings(usage(record(0, None, DOWN)), asked)
    assert [(day.day.isoformat(), day.line.hours_down) for day in report.days] == [
        ("2026-03-28", 24),
        ("2026-03-29", 23),
        ("2026-03-30", 24),
    ]


def test_a_day_that_a_zone_skipped_is_no_day():
    apia = ZoneInfo("Pacific/Apia")
    days = days_of(datetime(2011, 12, 29, tzinfo=apia), datetime(2012, 1, 1, tzinfo=apia), apia)
    assert [day.date for day in days] == [date(2011, 12, 29), date(2011, 12, 31)]
    assert [day.end - day.start for day in days] == [24 * HOUR, 24 * HOUR]


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        Period.of(datetime(2026, 1, 1), at(1), at(1))  # noqa: DTZ001


# Money


def test_savings_with_an_unknown_price_are_unknown_and_not_zero():
    report = rule_savings(usage(record(0, 24, UP), record(24, 48, DOWN), hourly=NO_PRICE), period())
    line = report.total
    assert line.hours_down == 24
    money = (line.cost_actual, line.baseline_always_on, line.savings_always_on, line.net_always_on)
    assert money == (None, None, None, None)
    assert report.unknown_cost == (Unpriced("i-0web", NO_PRICE.reason),)


def test_an_unknown_price_is_not_zero_even_where_nobody_looked():
    assert total(hourly=NO_PRICE).cost_actual is None


def test_one_resource_without_a_price_makes_the_rule_unknown_on_the_days_on_which_it_was_in_it():
    both = (CountedResource(WEB, PRICE), CountedResource(DB, NO_PRICE, since=at(36)))
    report = rule_savings(RuleUsage("ru_1", both, (record(0, 48, UP),)), period())
    assert [day.line.cost_actual for day in report.days] == [12 * PRICE, 24 * PRICE, None]
    assert report.total.cost_actual is None


@pytest.mark.parametrize("hourly", ["-0.01", "NaN", "Infinity", "1000000"])
def test_a_cost_that_no_hour_can_have_is_refused(hourly):
    with pytest.raises(ValueError, match="cannot cost"):
        CountedResource(WEB, Decimal(hourly))


def test_a_resource_that_costs_nothing_is_not_one_of_unknown_cost():
    report = rule_savings(usage(record(0, 48, UP), hourly=Decimal(0)), period())
    assert report.total.cost_actual == 0
    assert report.unknown_cost == ()


def test_a_rule_without_schedules_has_no_such_baseline_and_one_whose_schedules_never_want_it_up_has():
    records = (record(0, 24, UP), record(24, 48, DOWN))
    without_any = total(*records)
    never = total(*records, schedule_spans=())
    assert (without_any.baseline_schedules, without_any.savings_schedules, without_any.net_schedules) == (None,) * 3
    assert never.baseline_schedules == 0
    assert never.savings_schedules == -24 * PRICE


def test_schedules_alone_are_compared_over_known_time_only():
    spans = ((at(0), at(8)), (at(4), at(10)), (at(40), at(60)))
    line = total(record(0, 2, UP), record(2, 24, DOWN), schedule_spans=spans)
    assert line.baseline_schedules == 10 * PRICE
    assert line.savings_schedules == 8 * PRICE


def test_would_be_records_give_would_be_savings_and_never_mix_with_what_was():
    records = (record(0, 48, UP), record(0, 12, UP, dry_run=True), record(12, 48, DOWN, dry_run=True))
    was = rule_savings(usage(*records), period())
    would = rule_savings(usage(*records), period(), dry_run=True)
    assert (was.dry_run, was.total.savings_always_on) == (False, 0)
    assert (would.dry_run, would.total.savings_always_on) == (True, 36 * PRICE)
    assert account_savings([was, would]).total == was.total
    assert account_savings([was, would], dry_run=True).total == would.total


# What carries the traffic


def proxy(hourly: Any = Decimal("0.02"), **members: Any) -> SharedCost:
    return SharedCost("lb_1", hourly, members or {"ru_1": [(at(0), at(48))]})


def test_a_rule_alone_on_its_proxy_bears_all_of_it():
    line = total(record(0, 48, DOWN), shared=(proxy(),))
    assert line.own_cost == 48 * Decimal("0.02")
    assert line.net_always_on == 48 * PRICE - 48 * Decimal("0.02")


def test_the_cost_of_a_proxy_is_borne_in_equal_parts_by_the_rules_on_it_at_the_time():
    shared = proxy(ru_1=[(at(0), at(48))], ru_2=[(at(0), at(24))], ru_3=[(at(12), at(24))])
    costs = [
        rule_savings(replace(usage(shared=(shared,)), rule_id=rule), period()).total.own_cost
        for rule in ("ru_1", "ru_2", "ru_3", "ru_4")
    ]
    # 0-12: two rules, 12-24: three, 24-48: one
    hours = [6 + 4 + 24, 6 + 4, 4, 0]
    assert costs == [Decimal("0.02") * n for n in hours]


def test_a_rule_with_an_unknown_price_of_its_proxy_has_savings_but_no_net_savings():
    report = rule_savings(usage(record(0, 48, DOWN), shared=(proxy(NO_PRICE),)), period())
    assert report.total.savings_always_on == 48 * PRICE
    assert (report.total.own_cost, report.total.net_always_on) == (None, None)
    assert report.unknown_cost == (Unpriced("lb_1", NO_PRICE.reason),)


def test_an_unpriced_proxy_that_the_rule_was_never_on_is_no_matter():
    report = rule_savings(usage(record(0, 48, DOWN), shared=(proxy(NO_PRICE, ru_2=[(at(0), at(9))]),)), period())
    assert report.total.own_cost == 0
    assert report.unknown_cost == ()


# The account


def report_of(rule_id: str, *records: Interval, hourly: Any = PRICE, **more: Any) -> RuleSavings:
    return rule_savings(replace(usage(*records, hourly=hourly, **more), rule_id=rule_id), period())


def test_the_account_is_unknown_where_a_rule_is_and_still_has_the_total_of_the_others():
    known, unknown = report_of("ru_1", record(0, 48, DOWN)), report_of("ru_2", record(0, 48, UP), hourly=NO_PRICE)
    account = account_savings([known, unknown])
    assert account.total.hours_total == 96
    assert account.total.savings_always_on is None
    assert account.priced == known.total
    assert account.left_out == ("ru_2",)
    assert account.unknown_cost == (Unpriced("i-0web", NO_PRICE.reason),)


def test_in_the_accounts_baseline_of_schedules_a_rule_without_any_counts_as_always_on():
    scheduled = report_of("ru_1", record(0, 48, DOWN), schedule_spans=((at(0), at(8)),))
    free = report_of("ru_2", record(0, 48, DOWN))
    assert account_savings([scheduled, free]).total.baseline_schedules == (8 + 48) * PRICE
    assert account_savings([free]).total.baseline_schedules is None


def test_an_account_without_rules_has_saved_nothing():
    account = account_savings([])
    assert account.days == ()
    assert account.total.savings_always_on == 0
    assert account.total.baseline_schedules is None
