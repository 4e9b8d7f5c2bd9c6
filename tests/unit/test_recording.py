"""What a look adds to the records: dated so that no saving is ever overstated, and never twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain import recording
from chalicelib.domain.costs import UnknownCost
from chalicelib.domain.products import Ec2Product
from chalicelib.domain.recording import MOST_CHANGES, Look, Sight, recorded
from chalicelib.domain.resources import ResourceKind, ResourceRef
from chalicelib.domain.savings import rule_savings
from chalicelib.domain.usage import IntervalState, Period
from chalicelib.domain.usage_days import Change, Paid, UsageDay, usage_of

UP, DOWN, UNKNOWN = IntervalState.UP, IntervalState.DOWN, IntervalState.UNKNOWN
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 1, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def paid(id_: str = "i-1", type_: str = "t3.micro") -> Paid:
    return Paid(ResourceRef(ResourceKind.EC2, "us-east-1", id_), ec2=Ec2Product("us-east-1", type_))


def sight(state: IntervalState, id_: str = "i-1", *, was_down: bool = False, launched: datetime | None = None) -> Sight:
    return Sight(paid(id_), state, was_down, launched)


def look(at: datetime, *sights: Sight, since: datetime | None = None, **more) -> Look:
    settings = {"overdue": False, "dry_run": False} | more
    return Look("ru_1", at, since, sights=sights, **settings)


class Records:
    """What the store does."""

    def __init__(self) -> None:
        self.days: dict[tuple[date, bool], UsageDay] = {}
        self.writes = 0

    def add(self, *looks: Look) -> Records:
        for each in looks:
            known = [r for r in self.days.values() if each.first_day <= r.day <= each.at.date()]
            for record in recorded(known, each):
                self.days[record.day, record.dry_run] = replace(record, version=record.version + 1)
                self.writes += 1
        return self

    def of(self, at: datetime = NOON, *, dry_run: bool = False) -> list[tuple[datetime, IntervalState | None]]:
        return [(change.at, change.state) for change in self.days[at.date(), dry_run].changes]


class TestDates:
    def test_the_first_look_begins_the_record(self):
        assert Records().add(look(NOON, sight(UP))).of() == [(NOON, UP)]

    def test_a_look_that_sees_nothing_new_writes_nothing(self):
        found = Records().add(look(NOON, sight(UP)), look(NOON + HOUR, sight(UP), since=NOON))
        assert found.writes == 1

    def test_a_stop_is_dated_when_it_was_found(self):
        found = Records().add(look(NOON, sight(UP)), look(NOON + HOUR, sight(DOWN), since=NOON))
        assert found.of() == [(NOON, UP), (NOON + HOUR, DOWN)]

    def test_a_start_is_dated_at_its_launch_if_that_was_since_the_last_look(self):
        later = look(NOON + HOUR, sight(UP, was_down=True, launched=NOON + 50 * MINUTE), since=NOON + 40 * MINUTE)
        assert Records().add(look(NOON, sight(DOWN)), later).of()[1:] == [(NOON + 50 * MINUTE, UP)]

    @pytest.mark.parametrize("launched", [None, NOON - HOUR, NOON + 30 * MINUTE, NOON + 2 * HOUR])
    def test_a_start_without_such_a_launch_is_dated_at_the_last_look(self, launched):
        later = look(NOON + HOUR, sight(UP, was_down=True, launched=launched), since=NOON + 40 * MINUTE)
        assert Records().add(look(NOON, sight(DOWN)), later).of()[1:] == [(NOON + 40 * MINUTE, UP)]

    def test_a_start_that_an_earlier_look_saw_and_failed_to_store_is_dated_at_its_launch(self):
        later = look(NOON + HOUR, sight(UP, launched=NOON + 20 * MINUTE), since=NOON + 40 * MINUTE)
        assert Records().add(look(NOON, sight(DOWN)), later).of()[1:] == [(NOON + 20 * MINUTE, UP)]

    def test_and_without_a_launch_takes_all_of_the_time_down_with_it(self):
        later = look(NOON + HOUR, sight(UP), since=NOON + 40 * MINUTE)
        assert Records().add(look(NOON, sight(DOWN)), later).of() == [(NOON, UP)]

    def test_what_was_up_between_two_looks_that_saw_it_down_counts_as_up_from_its_launch(self):
        later = look(NOON + HOUR, sight(DOWN, was_down=True, launched=NOON + 20 * MINUTE), since=NOON)
        found = Records().add(look(NOON, sight(DOWN)), later)
        assert found.of() == [(NOON, DOWN), (NOON + 20 * MINUTE, UP), (NOON + HOUR, DOWN)]
        assert found.add(later).writes == 2

    def test_nobody_looked_for_long_so_the_time_since_is_unknown(self):
        late = look(NOON + 5 * HOUR, sight(DOWN, was_down=True), since=NOON + HOUR, overdue=True)
        found = Records().add(look(NOON, sight(DOWN)), late)
        assert found.of() == [(NOON, DOWN), (NOON + HOUR, UNKNOWN), (NOON + 5 * HOUR, DOWN)]
        assert found.add(late).writes == 2

    def test_but_a_launch_in_it_ends_the_unknown_time(self):
        late = look(
            NOON + 5 * HOUR, sight(UP, was_down=True, launched=NOON + 3 * HOUR), since=NOON + HOUR, overdue=True
        )
        assert Records().add(look(NOON, sight(DOWN)), late).of()[2:] == [(NOON + 3 * HOUR, UP)]

    def test_what_is_gone_has_left_and_what_comes_back_begins_again(self):
        found = Records().add(look(NOON, sight(UP)), look(NOON + HOUR, since=NOON), look(NOON + HOUR, since=NOON))
        assert found.of() == [(NOON, UP), (NOON + HOUR, None)]
        assert found.add(look(NOON + 2 * HOUR, sight(DOWN), since=NOON + HOUR)).of()[2:] == [(NOON + 2 * HOUR, DOWN)]

    def test_a_look_that_comes_late_never_makes_more_time_down(self):
        found = Records().add(look(NOON, sight(UP)), look(NOON + HOUR, sight(DOWN), since=NOON))
        found.add(look(NOON + 2 * HOUR, sight(UP, was_down=True), since=NOON + 90 * MINUTE))
        before = found.of()
        assert found.add(look(NOON + 30 * MINUTE, sight(DOWN), since=NOON)).of() == before
        seen_up = look(NOON + 80 * MINUTE, sight(UP, was_down=True), since=NOON + 70 * MINUTE)
        assert found.add(seen_up).of() == [*before[:2], (NOON + 70 * MINUTE, UP), *before[2:]]

    def test_what_flaps_without_end_is_unknown_for_the_rest_of_the_day(self):
        found = Records().add(look(NOON, sight(UP)))
        full = tuple(Change(NOON + n * timedelta(seconds=1), "i-1", (UP, DOWN)[n % 2]) for n in range(MOST_CHANGES))
        key = (NOON.date(), False)
        found.days[key] = replace(found.days[key], changes=full)
        for n in range(1, 9):
            at = NOON + HOUR + n * MINUTE
            found.add(look(at, sight((UP, DOWN)[n % 2]), since=at - MINUTE))
        assert len(found.of()) == MOST_CHANGES + 1
        assert found.of()[-1] == (NOON + HOUR + MINUTE, UNKNOWN)


class TestDays:
    def test_the_first_look_of_a_day_carries_the_state_over_midnight(self):
        found = Records().add(look(NOON, sight(UP)), look(MIDNIGHT + MINUTE, sight(UP), since=MIDNIGHT - MINUTE))
        assert found.of() == [(NOON, UP)]
        assert found.of(MIDNIGHT) == [(MIDNIGHT, UP)]
        assert found.writes == 2

    def test_a_start_before_midnight_that_is_found_after_it_stands_in_the_day_before(self):
        up = sight(UP, was_down=True, launched=MIDNIGHT - MINUTE)
        found = Records().add(look(NOON, sight(DOWN)), look(MIDNIGHT + MINUTE, up, since=MIDNIGHT - 5 * MINUTE))
        assert found.of() == [(NOON, DOWN), (MIDNIGHT - MINUTE, UP)]
        assert found.of(MIDNIGHT) == [(MIDNIGHT, UP)]

    def test_what_a_late_look_put_in_the_day_before_is_carried_on_by_the_next_that_reaches_back_to_it(self):
        both = look(MIDNIGHT + 5 * HOUR, sight(UP), sight(UP, "i-2"), since=MIDNIGHT - 3 * MINUTE)
        found = Records().add(look(MIDNIGHT - HOUR, sight(UP)), both)
        found.add(look(MIDNIGHT - 5 * MINUTE, sight(UP), sight(UP, "i-2"), since=MIDNIGHT - 10 * MINUTE))
        assert found.add(both).of(MIDNIGHT)[:2] == [(MIDNIGHT, UP), (MIDNIGHT, UP)]

    def test_days_on_which_nobody_looked_are_unknown_and_are_written(self):
        late = look(NOON + 3 * DAY, sight(UP), since=NOON + HOUR, overdue=True)
        found = Records().add(look(NOON, sight(UP)), late)
        assert found.of() == [(NOON, UP), (NOON + HOUR, UNKNOWN)]
        for n in (1, 2):
            assert found.of(NOON + n * DAY) == [(MIDNIGHT + (n - 1) * DAY, UNKNOWN)]
        assert found.of(NOON + 3 * DAY) == [(MIDNIGHT + 2 * DAY, UNKNOWN), (NOON + 3 * DAY, UP)]

    def test_a_rule_that_is_no_longer_a_dry_run_is_closed_there_and_begins_here(self):
        found = Records().add(look(NOON, sight(DOWN), dry_run=True), look(NOON + HOUR, sight(UP), since=NOON))
        assert found.of(dry_run=True) == [(NOON, DOWN), (NOON + HOUR, None)]
        assert found.of() == [(NOON + HOUR, UP)]
        assert found.add(look(NOON + 2 * HOUR, sight(UP), since=NOON + HOUR)).writes == 3

    def test_settings_are_those_of_the_last_look_of_the_day_and_days_that_are_over_keep_theirs(self):
        found = Records().add(look(NOON, sight(UP), hourly_cost=Decimal(1)))
        found.add(look(NOON + HOUR, sight(UP), since=NOON, hourly_cost=Decimal(2), load_balancer_id="lb_1"))
        found.add(look(MIDNIGHT + HOUR, sight(UP), since=MIDNIGHT - MINUTE, hourly_cost=Decimal(3)))
        first, second = found.days[NOON.date(), False], found.days[MIDNIGHT.date(), False]
        assert (first.hourly_cost, first.load_balancer_id, second.hourly_cost) == (2, "lb_1", 3)

    def test_schedules_that_are_changed_say_nothing_of_the_time_before(self):
        morning = ((NOON - 12 * HOUR, NOON - 6 * HOUR),)
        evening = ((NOON - 2 * HOUR, NOON + 6 * HOUR),)
        found = Records().add(look(NOON - HOUR, sight(UP), scheduled=morning))
        found.add(look(NOON, sight(UP), since=NOON - HOUR, scheduled=evening))
        assert found.days[NOON.date(), False].scheduled == (*morning, (NOON, NOON + 6 * HOUR))
        found.add(look(NOON + HOUR, sight(UP), since=NOON))
        assert found.days[NOON.date(), False].scheduled == (*morning, (NOON, MIDNIGHT))

    def test_before_a_rule_had_schedules_it_would_have_been_left_on(self):
        found = Records().add(look(NOON, sight(UP)), look(NOON + HOUR, sight(UP), since=NOON, scheduled=()))
        assert found.days[NOON.date(), False].scheduled == ((MIDNIGHT - DAY, NOON + HOUR),)

    def test_products_are_kept_of_what_has_left_and_follow_what_was_resized(self):
        found = Records().add(look(NOON, sight(UP), sight(UP, "i-2")))
        found.add(look(NOON + HOUR, Sight(paid("i-1", "m5.large"), UP, was_down=False), since=NOON))
        assert found.days[NOON.date(), False].products == (paid("i-1", "m5.large"), paid("i-2"))


class TestCounting:
    """From a record to hours and money."""

    def counted(self, record: UsageDay, **more):
        settings = {"carried_on": frozenset({"i-1", "i-2"}), "seen": None} | more
        usage = usage_of(record, settings["carried_on"], settings["seen"], lambda _: UnknownCost("not listed"))
        return rule_savings(usage, Period.of(record.start, record.end, record.end))

    def record(self, *changes: Change, **more) -> UsageDay:
        ids = sorted({change.resource_id for change in changes})
        return UsageDay("ru_1", NOON.date(), False, products=tuple(paid(id_) for id_ in ids), changes=changes, **more)

    def test_the_hourly_cost_is_borne_by_those_that_are_there_at_once(self):
        replaced = self.record(
            Change(NOON, "i-1", UP), Change(NOON + HOUR, "i-1"), Change(NOON + HOUR, "i-2", UP), hourly_cost=Decimal(1)
        )
        assert self.counted(replaced).total.cost_actual == 12
        both = self.record(Change(NOON, "i-1", UP), Change(NOON, "i-2", DOWN), hourly_cost=Decimal(1))
        assert self.counted(both).total.savings_always_on == 6

    def test_what_left_and_came_back_is_not_counted_in_between(self):
        away = self.record(
            Change(NOON, "i-1", UP),
            Change(NOON + HOUR, "i-1"),
            Change(NOON + 2 * HOUR, "i-1", DOWN),
            hourly_cost=Decimal(1),
        )
        total = self.counted(away).total
        assert (total.hours_up, total.hours_down, total.hours_unknown) == (1, 10, 0)

    def test_a_days_end_that_nothing_proves_is_unknown(self):
        open_end = self.record(Change(NOON, "i-1", UP), Change(NOON + HOUR, "i-1", DOWN))
        total = self.counted(open_end, carried_on=frozenset(), seen=NOON + 3 * HOUR).total
        assert (total.hours_up, total.hours_down, total.hours_unknown) == (1, 2, 9)
        total = self.counted(open_end, carried_on=frozenset()).total
        assert (total.hours_up, total.hours_down, total.hours_unknown) == (1, 0, 11)

    def test_what_has_no_price_is_said_and_is_no_zero(self):
        found = self.counted(self.record(Change(NOON, "i-1", UP)))
        assert found.total.cost_actual is None
        assert [(one.subject, one.reason) for one in found.unknown_cost] == [("i-1", "not listed")]


# Whatever happens


@st.composite
def lives(draw: st.DrawFn) -> list[Look]:
    """Looks at two resources, some of them late, across midnights; each knows the one before."""
    ids = ("i-1", "i-2")
    at = MIDNIGHT - 3 * HOUR
    since: datetime | None = None
    before: dict[str, IntervalState] = {}
    looks = []
    for _ in range(draw(st.integers(2, 10))):
        sights = {}
        for id_ in ids:
            state = draw(st.sampled_from([UP, UP, DOWN, DOWN, None]))
            if state is not None:
                launched = draw(st.sampled_from([None, 1, 10, 100, 1000]))
                sights[id_] = Sight(paid(id_), state, before.get(id_) is DOWN, launched and at - launched * MINUTE)
        overdue = since is not None and draw(st.sampled_from([False, False, False, True]))
        looks.append(look(at, *sights.values(), since=since, overdue=overdue, dry_run=False))
        before = {id_: each.state for id_, each in sights.items()}
        since = at
        at += draw(st.sampled_from([1, 10, 10, 60, 500, 3000])) * MINUTE
    return looks


def state_at(records: Records, id_: str, at: datetime) -> IntervalState | None:
    record = records.days.get((at.date(), False))
    changes = [c for c in record.changes if c.resource_id == id_ and c.at <= at] if record else []
    return changes[-1].state if changes else None


@given(lives(), st.data())
def test_no_time_counts_as_down_in_which_a_look_saw_it_up(looks: list[Look], data: st.DataObject):
    records = Records()
    for n, each in enumerate(looks):
        records.add(each)
        for again in data.draw(st.lists(st.sampled_from(looks[: n + 1]), max_size=2)):
            records.add(again)
    for each in looks:
        for seen in each.sights:
            if seen.state is UP:
                assert state_at(records, seen.paid.ref.id, each.at) is not DOWN


@given(lives(), st.data())
def test_the_same_looks_again_change_nothing(looks: list[Look], data: st.DataObject):
    records = Records().add(*looks)
    before, writes = dict(records.days), records.writes
    records.add(*data.draw(st.permutations(looks)))
    assert (records.days, records.writes) == (before, writes)


@given(lives())
def test_intervals_never_overlap_and_the_hours_of_a_day_are_no_more_than_it_has(looks: list[Look]):
    records = Records().add(*looks)
    for record in records.days.values():
        assert list(record.changes) == sorted(record.changes, key=lambda c: (c.at, c.resource_id))
        assert all(record.start <= change.at < record.end for change in record.changes)
        for id_ in ("i-1", "i-2"):
            times = [change.at for change in record.changes if change.resource_id == id_]
            assert len(times) == len(set(times))
        found = rule_savings(
            usage_of(record, frozenset(), None, lambda _: Decimal(1)), Period.of(record.start, record.end, record.end)
        )
        assert found.total.hours_total <= 48
        assert abs(found.total.savings_always_on - found.total.hours_down) < Decimal("1e-9")


@given(lives())
def test_a_look_writes_the_days_it_changes_and_no_others(looks: list[Look]):
    records = Records()
    for each in looks:
        before = dict(records.days)
        writes = records.writes
        records.add(each)
        changed = [
            key
            for key, record in records.days.items()
            if key not in before or replace(record, version=0) != replace(before[key], version=0)
        ]
        assert records.writes - writes == len(changed)


@given(lives(), st.data())
def test_what_is_taken_for_known_at_a_glance_adds_nothing_when_it_is_replayed(looks: list[Look], data: st.DataObject):
    records = Records()
    for n, _ in enumerate(looks):
        each = data.draw(st.sampled_from(looks[: n + 1]))
        mine = {r.day: r for r in records.days.values() if each.first_day <= r.day <= each.at.date()}
        if recording._is_known(mine, each):
            assert recording._added(mine, each) == []
        records.add(each)
