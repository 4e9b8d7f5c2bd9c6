"""Records of usage and the account's totals: conditional writes, repeated looks, days, pages, what is too old."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.account_days import AccountDay
from chalicelib.domain.decide import decide
from chalicelib.domain.errors import InvalidInputError, VersionMismatchError
from chalicelib.domain.facts import Facts
from chalicelib.domain.products import Deployment, Ec2Product, RdsProduct
from chalicelib.domain.resources import ObservedResource, ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.savings import Line, Unpriced
from chalicelib.domain.usage import IntervalState
from chalicelib.domain.usage_days import KEPT, Change, Paid, UsageDay, midnight
from chalicelib.usecases.record_usage import RecordUsage
from tests.builders import make_rule, seen_as

TODAY = START.date()
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
WEB = ResourceRef(ResourceKind.EC2, "us-east-1", "i-00000001")
DB = ResourceRef(ResourceKind.RDS, "us-east-1", "db")
UP, DOWN, UNKNOWN = IntervalState.UP, IntervalState.DOWN, IntervalState.UNKNOWN


def record(rule_id: str = "ru_1", day: date = TODAY, *, dry_run: bool = False, **more) -> UsageDay:
    return UsageDay(rule_id, day, dry_run, changes=(Change(midnight(day), WEB.id, UP),), **more)


def total(day: date = TODAY, *, dry_run: bool = False, **more) -> AccountDay:
    return AccountDay(day, dry_run, 1, False, Line(), Line(), **more)


class TestRecords:
    def test_everything_of_a_record_comes_back(self, stores):
        whole = UsageDay(
            "ru_1",
            TODAY,
            False,
            "lb_1",
            Decimal("0.1234567890"),
            ((START, START + HOUR), (START + 2 * HOUR, START + 3 * HOUR)),
            (
                Paid(WEB, ec2=Ec2Product("us-east-1", "t3.micro", "Windows", "dedicated", spot=True)),
                Paid(DB, rds=RdsProduct("us-east-1", "db.t4g.micro", "postgres", deployment=Deployment.MULTI_AZ)),
            ),
            (
                Change(START, WEB.id, UP),
                Change(START + timedelta(microseconds=1), WEB.id),
                Change(START, DB.id, UNKNOWN),
            ),
        )
        saved = stores.usage.save(whole)
        assert saved == replace(whole, version=1)
        assert stores.usage.of_rule("ru_1", TODAY, TODAY) == (saved,)

    @pytest.mark.parametrize("scheduled", [None, ()])
    def test_a_rule_without_schedules_is_another_than_one_that_its_schedules_never_want_up(self, stores, scheduled):
        stores.usage.save(record(scheduled=scheduled))
        assert stores.usage.of_rule("ru_1", TODAY, TODAY)[0].scheduled == scheduled

    def test_of_two_first_writers_one_wins(self, stores, meanwhile):
        with meanwhile(lambda: stores.usage.save(record(load_balancer_id="lb_1"))), pytest.raises(VersionMismatchError):
            stores.usage.save(record(load_balancer_id="lb_2"))
        assert stores.usage.of_rule("ru_1", TODAY, TODAY)[0].load_balancer_id == "lb_1"

    def test_of_two_writers_at_one_version_one_wins(self, stores, meanwhile):
        first = stores.usage.save(record())
        with meanwhile(lambda: stores.usage.save(first)), pytest.raises(VersionMismatchError):
            stores.usage.save(first)
        assert stores.usage.of_rule("ru_1", TODAY, TODAY)[0].version == 2

    def test_a_record_that_has_a_version_is_not_made_anew(self, stores):
        with pytest.raises(VersionMismatchError):
            stores.usage.save(replace(record(), version=3))

    def test_a_rules_days_are_its_own_of_both_kinds_oldest_first(self, stores):
        for day in (TODAY + DAY, TODAY - DAY, TODAY, TODAY + 2 * DAY):
            for dry_run in (True, False):
                stores.usage.save(record(day=day, dry_run=dry_run))
        stores.usage.save(record("ru_2"))
        found = stores.usage.of_rule("ru_1", TODAY, TODAY + DAY)
        assert [(r.day, r.dry_run) for r in found] == [
            (TODAY, False),
            (TODAY, True),
            (TODAY + DAY, False),
            (TODAY + DAY, True),
        ]
        assert stores.usage.of_rule("ru_1", TODAY + DAY, TODAY) == ()
        assert stores.usage.of_rule("ru_none", TODAY, TODAY) == ()

    def test_a_days_rules_come_in_pages_without_the_other_kind_and_without_totals(self, stores):
        for n in range(5):
            stores.usage.save(record(f"ru_{n}"))
        stores.usage.save(record("ru_dry", dry_run=True))
        stores.usage.save(record("ru_0", TODAY + DAY))
        stores.usage.keep_total(total())
        found, cursor = [], None
        while True:
            page = stores.usage.of_day(TODAY, 2, cursor, dry_run=False)
            found += [r.rule_id for r in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert sorted(found) == [f"ru_{n}" for n in range(5)]
        assert [r.rule_id for r in stores.usage.of_day(TODAY, 9, dry_run=True).items] == ["ru_dry"]
        assert stores.usage.of_day(TODAY - DAY, 9, dry_run=False).items == ()

    def test_a_cursor_of_another_day_is_refused(self, stores):
        for n in range(2):
            stores.usage.save(record(f"ru_{n}"))
        cursor = stores.usage.of_day(TODAY, 1, dry_run=False).next_cursor
        for wrong in (
            lambda: stores.usage.of_day(TODAY + DAY, 1, cursor, dry_run=False),
            lambda: stores.usage.of_day(TODAY, 1, cursor, dry_run=True),
            lambda: stores.usage.of_day(TODAY, 1, "nonsense", dry_run=False),
        ):
            with pytest.raises(InvalidInputError):
                wrong()

    def test_what_is_too_old_is_not_answered(self, stores, clock):
        stores.usage.save(record())
        stores.usage.keep_total(total())
        clock.advance(midnight(TODAY) + KEPT - START - timedelta(seconds=1))
        assert stores.usage.of_rule("ru_1", TODAY, TODAY)
        clock.advance(timedelta(seconds=1))
        assert stores.usage.of_rule("ru_1", TODAY, TODAY) == ()
        assert stores.usage.of_day(TODAY, 9, dry_run=False).items == ()
        assert stores.usage.totals(TODAY, TODAY) == ()


class TestTotals:
    def test_everything_of_a_total_comes_back_and_unknown_is_not_zero(self, stores):
        known = Line(HOUR, 2 * HOUR, timedelta(microseconds=7), *(Decimal(n) / 7 for n in range(1, 4)), None)
        unknown = Line(HOUR, 2 * HOUR, 3 * HOUR, None, None, None, None)
        whole = AccountDay(
            TODAY, True, 12_345, True, unknown, known, ("ru_1",), 700, (Unpriced("i-1", "No price."),), 9000
        )
        stores.usage.keep_total(whole)
        assert stores.usage.totals(TODAY, TODAY) == (whole,)

    def test_the_first_total_of_a_day_and_kind_stays(self, stores, meanwhile):
        with meanwhile(lambda: stores.usage.keep_total(total(left_out_count=1))):
            stores.usage.keep_total(total(left_out_count=2))
        stores.usage.keep_total(total(left_out_count=3))
        stores.usage.keep_total(total(dry_run=True, left_out_count=4))
        assert [t.left_out_count for t in stores.usage.totals(TODAY, TODAY)] == [1, 4]

    def test_days_are_answered_oldest_first_with_both_ends(self, stores):
        for n in (3, 1, 0, 2):
            stores.usage.keep_total(total(TODAY + n * DAY))
        assert [t.day for t in stores.usage.totals(TODAY + DAY, TODAY + 2 * DAY)] == [TODAY + DAY, TODAY + 2 * DAY]
        assert stores.usage.totals(TODAY + DAY, TODAY) == ()


class TestLooksAtOnce:
    """The use case on each store: whoever looks at the same time, nothing is lost and nothing is there twice."""

    def look(self, stores, states: dict[str, ResourceState], at, since=None, before=None):
        resources = tuple(
            ObservedResource(ResourceRef(ResourceKind.EC2, "us-east-1", id_), state) for id_, state in states.items()
        )
        rule = make_rule(status=seen_as(before or {}, since), resource_ids=tuple(states))
        facts = Facts(resources)
        RecordUsage(stores.usage, None).look(rule, facts, decide(rule, facts, at), at)

    def changes(self, stores) -> list[Change]:
        (found,) = stores.usage.of_rule("ru_1", TODAY, TODAY)
        return list(found.changes)

    def test_two_first_looks_at_once_are_one_record(self, stores, meanwhile):
        running = {"i-1": ResourceState.RUNNING}
        with meanwhile(lambda: self.look(stores, running, START)):
            self.look(stores, running, START)
        assert self.changes(stores) == [Change(START, "i-1", UP)]

    def test_two_different_changes_at_once_are_both_kept(self, stores, meanwhile):
        both = {"i-1": ResourceState.RUNNING, "i-2": ResourceState.RUNNING}
        self.look(stores, both, START)
        later = START + 10 * timedelta(minutes=1)
        one = both | {"i-1": ResourceState.STOPPED}
        two = one | {"i-2": ResourceState.STOPPED}
        with meanwhile(lambda: self.look(stores, one, later, START, both)):
            self.look(stores, two, later + timedelta(seconds=1), START, both)
        assert self.changes(stores)[2:] == [
            Change(later, "i-1", DOWN),
            Change(later + timedelta(seconds=1), "i-2", DOWN),
        ]

    def test_a_look_that_is_delivered_again_adds_nothing(self, stores):
        running, stopped = {"i-1": ResourceState.RUNNING}, {"i-1": ResourceState.STOPPED}
        later = START + 10 * timedelta(minutes=1)
        looks = [
            (running, START, None, None),
            (stopped, later, START, running),
            (running, later + HOUR, later, stopped),
        ]
        for look in looks:
            self.look(stores, *look)
        before = stores.usage.of_rule("ru_1", TODAY, TODAY)
        for look in [*looks, *reversed(looks)]:
            self.look(stores, *look)
        assert stores.usage.of_rule("ru_1", TODAY, TODAY) == before
