"""What holds of savings whatever the records say, with an oracle that looks at every minute."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.costs import EXACT, SharedCost, amount
from chalicelib.domain.intervals import by_day, common, merged, without
from chalicelib.domain.resources import ResourceKind, ResourceRef
from chalicelib.domain.savings import account_savings, rule_savings
from chalicelib.domain.usage import CountedResource, Interval, IntervalState, Period, RuleUsage

FROM = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
UP, DOWN, UNKNOWN = IntervalState.UP, IntervalState.DOWN, IntervalState.UNKNOWN
WEB = ResourceRef(ResourceKind.EC2, "eu-central-1", "i-0web")
DB = ResourceRef(ResourceKind.RDS, "eu-central-1", "db")
PRICE = Decimal("0.0104")

# Sampled, because drawn integers are mostly close to nought, where hardly two records meet.
minutes = st.sampled_from(range(-600, 3000))
states = st.sampled_from(IntervalState)
prices = st.decimals(0, 300, places=4, allow_nan=False)
stretches = st.lists(st.tuples(minutes, st.sampled_from(range(-10, 2000))), max_size=8).map(
    lambda pairs: tuple((FROM + a * MINUTE, FROM + (a + b) * MINUTE) for a, b in pairs)
)
records_of = st.builds(
    lambda ref, start, length, state: Interval(
        ref, FROM + start * MINUTE, None if length is None else FROM + (start + length) * MINUTE, state
    ),
    st.sampled_from([WEB, DB]),
    minutes,
    st.sampled_from([*[None] * 40, *range(-10, 700)]),
    states,
)
periods = st.builds(
    lambda start, length, now, zone: Period.of(
        FROM + start * MINUTE, FROM + (start + length) * MINUTE, FROM + now * MINUTE, zone
    ),
    st.sampled_from(range(-600, 1500)),
    st.sampled_from([0, 1, *range(1000, 4000)]),
    st.sampled_from(range(1000, 4000)),
    st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe"), timezone(timedelta(hours=-5))]),
)
usages = st.builds(
    lambda records, web, db, spans, carriers: RuleUsage(
        "ru_1",
        (CountedResource(WEB, web), CountedResource(DB, db)),
        tuple(records),
        spans,
        (SharedCost("lb_1", PRICE, dict(zip(("ru_1", "ru_2", "ru_3"), carriers, strict=True))),),
    ),
    st.lists(records_of, max_size=3) | st.lists(records_of, min_size=5, max_size=12),
    prices,
    prices,
    st.none() | stretches,
    st.tuples(stretches, stretches, stretches),
)


def minutes_in(stretches_: list[tuple[datetime, datetime]], asked: Period) -> set[datetime]:
    """The minutes of a window that begin in one of these; everything here begins and ends with a minute."""
    found = set()
    for start, end in stretches_:
        moment, last = max(start, asked.start), min(end, asked.end)
        while moment < last:
            found.add(moment)
            moment += MINUTE
    return found


@given(usages, periods)
def test_time_is_what_a_look_at_every_minute_finds(found: RuleUsage, asked: Period):
    line = rule_savings(found, asked).total
    wanted = minutes_in(list(found.schedule_spans or ()), asked)
    window = minutes_in([(asked.start, asked.end)], asked)
    ups, downs, unknowns, on_schedule = 0, 0, 0, Decimal(0)
    for resource in found.resources:
        seen = {
            state: minutes_in(
                [
                    (r.start, r.end or asked.end)
                    for r in found.intervals
                    if r.resource == resource.ref and r.state is state
                ],
                asked,
            )
            for state in IntervalState
        }
        up, down = seen[UP], seen[DOWN] - seen[UNKNOWN] - seen[UP]
        ups, downs, unknowns = ups + len(up), downs + len(down), unknowns + len(window - up - down)
        on_schedule += resource.hourly * len(wanted & (up | down)) / 60
    assert (line.up, line.down, line.unknown) == (ups * MINUTE, downs * MINUTE, unknowns * MINUTE)
    if found.schedule_spans is not None:
        assert abs(line.baseline_schedules - on_schedule) <= 2 * len(asked.days) * EXACT


@given(usages, periods)
def test_savings_never_exceed_the_baseline_and_the_days_add_up_to_the_total(found: RuleUsage, asked: Period):
    report = rule_savings(found, asked)
    for line in (report.total, *(day.line for day in report.days)):
        assert 0 <= line.savings_always_on <= line.baseline_always_on
        assert line.net_always_on <= line.savings_always_on
        if report.has_schedules:
            assert line.savings_schedules <= line.baseline_schedules <= line.baseline_always_on
    assert sum((day.line.up for day in report.days), timedelta()) == report.total.up
    assert sum((day.line.down for day in report.days), timedelta()) == report.total.down
    assert sum((day.line.unknown for day in report.days), timedelta()) == report.total.unknown
    for name in ("cost_actual", "own_cost", "baseline_always_on", "savings_always_on", "net_always_on"):
        assert sum(getattr(day.line, name) for day in report.days) == getattr(report.total, name)
    resources = len(found.resources)
    assert report.total.up + report.total.down + report.total.unknown == resources * max(
        timedelta(), asked.end - asked.start
    )


@given(usages, periods, prices)
def test_always_on_costs_the_price_of_the_hours_known(found: RuleUsage, asked: Period, price: Decimal):
    same = tuple(replace(resource, hourly=price) for resource in found.resources)
    line = rule_savings(replace(found, resources=same), asked).total
    hours = Decimal((line.up + line.down) // timedelta(microseconds=1)) / 3_600_000_000
    assert abs(line.baseline_always_on - price * hours) <= 2 * len(asked.days) * EXACT


@given(usages, periods, st.randoms(use_true_random=False))
def test_order_repetition_and_cuts_change_nothing(found: RuleUsage, asked: Period, chance):
    def cut(interval: Interval) -> list[Interval]:
        end = interval.end or asked.end
        if end <= interval.start:
            return [interval]
        middle = interval.start + (end - interval.start) * chance.random()
        return [replace(interval, end=middle), replace(interval, start=middle)]

    pieces = [piece for interval in found.intervals for piece in cut(interval)]
    pieces += chance.sample(pieces, len(pieces) // 2)
    chance.shuffle(pieces)
    assert rule_savings(replace(found, intervals=tuple(pieces)), asked) == rule_savings(found, asked)


@given(usages, st.integers(0, 3000), st.integers(0, 3000))
def test_two_adjoining_windows_have_the_time_of_both_together(found: RuleUsage, first: int, second: int):
    closed = replace(found, intervals=tuple(i for i in found.intervals if i.end is not None))
    edges = (FROM, FROM + first * MINUTE, FROM + (first + second) * MINUTE)
    parts = [rule_savings(closed, Period.of(a, b, edges[2])).total for a, b in pairwise(edges)]
    whole = rule_savings(closed, Period.of(edges[0], edges[2], edges[2])).total
    both = parts[0] + parts[1]
    assert (both.up, both.down, both.unknown) == (whole.up, whole.down, whole.unknown)
    assert abs(both.baseline_always_on - whole.baseline_always_on) <= 4 * EXACT


@given(st.lists(stretches, min_size=1, max_size=6), prices, periods)
def test_what_the_rules_bear_of_a_proxy_is_its_cost_while_a_rule_was_on_it(on_it, hourly: Decimal, asked: Period):
    members = {f"ru_{n}": spans for n, spans in enumerate(on_it)}
    shared = SharedCost("lb_1", hourly, members)
    borne = sum(rule_savings(RuleUsage(rule, (), (), shared=(shared,)), asked).total.own_cost for rule in members)
    used = common(merged(span for spans in on_it for span in spans), merged([(asked.start, asked.end)]))
    whole = amount(hourly, sum(by_day(used, asked.days), timedelta()) // timedelta(microseconds=1))
    assert abs(borne - whole) <= (len(members) + 1) * (len(asked.days) + 1) * EXACT


@given(st.lists(st.tuples(usages, st.booleans()), max_size=4), periods)
def test_the_account_is_the_sum_of_its_rules_in_any_order(found, asked: Period):
    reports = [
        rule_savings(replace(one, rule_id=f"ru_{n}"), asked, dry_run=dry_run) for n, (one, dry_run) in enumerate(found)
    ]
    account = account_savings(reports)
    assert account == replace(account_savings(reports[::-1]), left_out=account.left_out)
    mine = [report for report in reports if not report.dry_run]
    for name in ("cost_actual", "baseline_always_on", "own_cost", "net_always_on"):
        assert getattr(account.total, name) == sum(getattr(report.total, name) for report in mine)
    assert account.priced == account.total


@given(stretches, stretches)
def test_what_is_common_and_what_is_not_are_together_what_was(some, others):
    one, other = merged(some), merged(others)
    both, rest = common(one, other), without(one, other)
    assert merged(both + rest) == one
    assert common(both, rest) == []
    assert common(rest, other) == []
    assert common(other, one) == both


@given(periods)
def test_days_tile_the_window_in_order(asked: Period):
    edges = [edge for day in asked.days for edge in (day.start, day.end)]
    assert edges[1:-1:2] == edges[2::2]
    assert [day.date for day in asked.days] == sorted({day.date for day in asked.days})
    if asked.days:
        assert (edges[0], edges[-1]) == (asked.start, asked.end)
