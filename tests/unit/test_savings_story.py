"""From looks to answers: what a rule did on a day, and what that saved."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.domain.account_days import LATE
from chalicelib.domain.costs import UnknownCost
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.products import AlbProduct, Ec2Product, RdsProduct
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.wall_time import Weekday, WeeklyWindow
from chalicelib.usecases.price_book import PriceBook
from tests.builders import make_alb, make_schedule
from tests.unit.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.domain.savings import AccountSavings

DAY = datetime(2026, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
TEN_MINUTES = timedelta(minutes=10)
T3_MICRO = Decimal("0.0104")
ALONE: dict[str, Any] = {"load_balancer_id": None, "http": ()}


def look(world: World) -> None:
    """Somebody looks now, as after an event of EC2."""
    world.stores.status.make_due([rule.id for rule in world.stores.rules.list(100).items], world.clock.now())
    world.tick.run()
    world.work()


def live(world: World, until: datetime) -> None:
    """A look every ten minutes, and one at the end."""
    while world.clock.now() < until:
        world.clock.advance(min(TEN_MINUTES, until - world.clock.now()))
        look(world)


def by_hand(world: World, hour: int, act: Callable[[Any], None], day: datetime = DAY) -> None:
    """At that hour somebody does this, AWS obeys at once, and somebody looks."""
    live(world, day + hour * HOUR)
    world.instance.boot = world.instance.halt = timedelta(0)
    act(world.ref)
    world.clock.advance(timedelta(0))  # what AWS was asked for comes to pass
    look(world)


def used_from_6_to_12(world: World) -> None:
    live(world, DAY)
    by_hand(world, 6, world.cloud.start_by_hand)
    by_hand(world, 12, world.cloud.stop_by_hand)
    live(world, DAY + 24 * HOUR + TEN_MINUTES)


def saved(world: World, rule_id: str = "ru_1", day: datetime = DAY) -> AccountSavings:
    return world.savings.of_rule(rule_id, day, day + 24 * HOUR).actual


def uptime(first: int, last: int) -> Any:
    window = WeeklyWindow(tuple(Weekday), first * 3600, last * 3600)
    return make_schedule(time_zone="UTC", weekly=(window,))


def test_a_rule_that_is_up_6_hours_and_down_18_saves_what_18_hours_cost():
    world = World(hourly_cost=0.5, **ALONE)
    used_from_6_to_12(world)
    found = saved(world)
    (day,) = found.days
    assert (day.line.hours_up, day.line.hours_down, day.line.hours_unknown) == (6, 18, 0)
    assert (found.total.cost_actual, found.total.baseline_always_on, found.total.savings_always_on) == (3, 12, 9)
    assert found.total.net_always_on == 9
    assert found.total.baseline_schedules is None
    assert found.unknown_cost == ()


def test_without_an_hourly_cost_of_its_own_the_price_list_says_what_it_costs():
    world = World(**ALONE)
    used_from_6_to_12(world)
    assert saved(world).total.savings_always_on == 18 * T3_MICRO


def test_what_has_no_price_is_said_and_is_not_zero():
    world = World(**ALONE)
    world.instance.instance_type = "x9.huge"
    used_from_6_to_12(world)
    found = saved(world)
    assert (found.total.hours_up, found.total.hours_down) == (6, 18)
    assert (found.total.cost_actual, found.total.savings_always_on) == (None, None)
    assert [one.subject for one in found.unknown_cost] == ["i-00000001"]
    assert "x9.huge" in found.unknown_cost[0].reason


def test_a_price_list_that_does_not_answer_is_said_in_its_own_words():
    world = World(**ALONE)
    used_from_6_to_12(world)
    world.prices.fail_next.append(CloudError("AccessDeniedException", "not authorized: pricing:GetProducts"))
    assert "not authorized" in saved(world).unknown_cost[0].reason
    assert saved(world).unknown_cost == ()


def test_against_its_own_schedules_a_rule_saves_only_what_traffic_and_people_change():
    world = World(hourly_cost=0.5, **ALONE)
    world.instance.boot = world.instance.halt = timedelta(0)
    world.stores.schedules.create(uptime(8, 16))
    world.change("ru_1", schedule_ids=("sc_1",))
    live(world, DAY + 16 * HOUR)
    world.overrides.warm_up("ru_1", minutes=120, by="ak_1", reason=None)
    live(world, DAY + 24 * HOUR + TEN_MINUTES)
    total = saved(world).total
    assert total.baseline_schedules == 4
    assert total.savings_always_on == pytest.approx(Decimal(7), abs=Decimal("0.1"))
    assert total.savings_schedules == pytest.approx(Decimal(-1), abs=Decimal("0.1"))


def test_a_dry_run_stops_nothing_and_says_what_would_have_been_saved():
    world = World(hourly_cost=0.5, dry_run=True, **ALONE)
    world.cloud.start_by_hand(world.ref)
    world.stores.schedules.create(uptime(8, 16))
    world.change("ru_1", schedule_ids=("sc_1",))
    live(world, DAY + 24 * HOUR + TEN_MINUTES)
    assert world.instance.state is ResourceState.RUNNING
    found = world.savings.of_rule("ru_1", DAY, DAY + 24 * HOUR)
    assert found.actual.days == ()
    # A start that was only wished for is dated at the look before it.
    assert found.would.total.savings_always_on == pytest.approx(8 - Decimal(1) / 12)
    assert found.would.total.hours_unknown == 0


def test_a_dry_run_that_becomes_real_at_noon_has_half_a_day_of_each():
    world = World(hourly_cost=1.0, dry_run=True, **ALONE)
    live(world, DAY + 12 * HOUR)
    world.change("ru_1", dry_run=False)
    look(world)
    live(world, DAY + 24 * HOUR + TEN_MINUTES)
    found = world.savings.of_rule("ru_1", DAY, DAY + 24 * HOUR)
    assert (found.would.total.hours_total, found.actual.total.hours_total) == (12, 12)
    assert found.actual.total.hours_unknown == found.would.total.hours_unknown == 0


def test_what_rests_is_known_to_rest_until_its_next_look_is_due_and_no_further():
    world = World(hourly_cost=0.5, **ALONE)
    live(world, DAY + 6 * HOUR)
    world.clock.advance(5 * HOUR)
    found = world.savings.of_rule("ru_1", DAY, DAY + 24 * HOUR)
    assert found.end == DAY + 11 * HOUR
    assert (found.actual.total.hours_down, found.actual.total.hours_unknown) == (11, 0)
    world.clock.advance(5 * HOUR)
    total = world.savings.of_rule("ru_1", DAY, DAY + 24 * HOUR).actual.total
    assert total.hours_unknown >= 9, "the look that was due did not come"
    assert total.hours_down + total.hours_unknown == 16


def test_only_the_time_that_is_asked_for_counts():
    world = World(hourly_cost=0.5, **ALONE)
    used_from_6_to_12(world)
    total = world.savings.of_rule("ru_1", DAY + 11 * HOUR, DAY + 14 * HOUR).actual.total
    assert (total.hours_up, total.hours_down) == (1, 2)
    nothing = world.savings.of_rule("ru_1", DAY + 48 * HOUR, DAY + 50 * HOUR)
    assert nothing.actual.days == ()


def test_when_nobody_looked_for_hours_nothing_is_claimed_for_them():
    world = World(hourly_cost=0.5, **ALONE)
    live(world, DAY + 6 * HOUR)
    world.clock.advance(12 * HOUR)  # what rests is looked at every six
    live(world, DAY + 24 * HOUR + TEN_MINUTES)
    total = saved(world).total
    assert total.hours_unknown == pytest.approx(Decimal(12), abs=Decimal("0.2"))
    assert total.savings_always_on == pytest.approx(Decimal(6), abs=Decimal("0.1"))


def test_the_rules_on_a_proxy_bear_its_price_in_equal_parts():
    world = World(hourly_cost=0.5)
    live(world, DAY)
    world.add_rule("ru_2", "i-00000002")
    live(world, DAY + 24 * HOUR + TEN_MINUTES)
    assert saved(world).total.own_cost == 24 * T3_MICRO
    assert saved(world).total.net_always_on == 12 - 24 * T3_MICRO
    assert saved(world, "ru_2").total.own_cost == 0
    account = world.savings.of_account(DAY, DAY + 24 * HOUR).actual
    assert account.total.own_cost == 24 * T3_MICRO


def test_an_alb_that_was_made_is_a_cost_and_one_of_the_users_own_is_paid_anyway():
    world = World()
    book = PriceBook(world.prices, world.stores.balancers, world.stores.proxies)
    world.prices.costs[AlbProduct("us-east-1")] = Decimal("0.0225")
    world.stores.balancers.create(make_alb("lb_made"))
    world.stores.balancers.create(make_alb("lb_theirs", {"existing_arn": "arn:theirs"}))
    assert (book.of_proxy("lb_made"), book.of_proxy("lb_theirs")) == (Decimal("0.0225"), 0)


def test_the_store_of_usage_holds_up_no_start_and_what_it_missed_is_made_good_within_eight_hours(monkeypatch):
    world = World(hourly_cost=0.5, **ALONE)
    live(world, DAY + HOUR)
    real = world.stores.usage.of_rule

    def throttled(*_: Any) -> Any:
        raise ThrottledError("ThrottlingException", "slow down")

    monkeypatch.setattr(world.stores.usage, "of_rule", throttled)
    world.overrides.warm_up("ru_1", minutes=200, by="ak_1", reason=None)
    started = world.clock.now()
    world.work()
    world.clock.advance(TEN_MINUTES)
    look(world)
    assert world.instance.state is ResourceState.RUNNING
    monkeypatch.setattr(world.stores.usage, "of_rule", real)
    live(world, DAY + 9 * HOUR)
    total = world.savings.of_rule("ru_1", started, started + HOUR).actual.total
    assert (total.hours_up, total.hours_down, total.hours_unknown) == (1, 0, 0)


class TestAccount:
    def world(self) -> World:
        """Two rules with costs, one dry run, one without a price."""
        world = World(hourly_cost=0.5, **ALONE)
        world.add_rule("ru_2", "i-00000002", hourly_cost=0.25)
        world.add_rule("ru_dry", "i-00000003", hourly_cost=2.0, dry_run=True)
        used_from_6_to_12(world)
        return world

    def test_the_account_is_the_sum_of_its_rules_and_what_would_have_been_stands_apart(self):
        world = self.world()
        found = world.savings.of_account(DAY, DAY + 24 * HOUR)
        assert found.actual.total.savings_always_on == 9 + 6
        assert found.would.total.savings_always_on == 48
        assert found.actual.total == saved(world).total + saved(world, "ru_2").total
        assert (found.start, found.end) == (DAY, DAY + 24 * HOUR)

    def test_a_day_says_the_same_before_and_after_it_is_rolled_up(self):
        world = self.world()
        before = world.savings.of_account(DAY, DAY + 24 * HOUR)
        world.clock.advance(LATE)
        look(world)
        first = world.roll_up.run()
        assert (first.kept, first.waiting) == (70, 0)
        assert world.roll_up.run().kept == 0
        world.stores.usage._records.clear()
        assert world.savings.of_account(DAY, DAY + 24 * HOUR) == before

    def test_a_day_is_rolled_up_when_what_rests_has_been_looked_at_again_and_not_before(self):
        world = self.world()
        world.roll_up.run()
        assert [t.day.day for t in world.stores.usage.totals(DAY.date(), DAY.date())] == []
        world.clock.advance(LATE)
        world.roll_up.run()
        assert len(world.stores.usage.totals(DAY.date(), DAY.date())) == 2

    def test_a_roll_up_that_was_missed_is_made_good_and_one_that_broke_off_goes_on(self, monkeypatch):
        world = self.world()
        live(world, DAY + 72 * HOUR)
        real = world.stores.usage.of_day
        calls = []

        def breaks_off(*args: Any, **more: Any) -> Any:
            calls.append(args)
            if len(calls) > 30:
                raise ThrottledError("ThrottlingException", "slow down")
            return real(*args, **more)

        monkeypatch.setattr(world.stores.usage, "of_day", breaks_off)
        with pytest.raises(ThrottledError):
            world.roll_up.run()
        monkeypatch.setattr(world.stores.usage, "of_day", real)
        assert 0 < world.roll_up.run().kept < 70
        assert len(world.stores.usage.totals(DAY.date(), DAY.date() + timedelta(days=1))) == 4

    def test_a_day_waits_for_a_price_list_that_does_not_answer_but_not_for_one_that_does_not_know(self):
        world = self.world()
        world.change("ru_2", hourly_cost=None)
        live(world, DAY + 48 * HOUR + LATE)
        world.prices.fail_next.append(CloudError("InternalErrorException", "try again"))
        assert world.roll_up.run().waiting == 1
        world.prices.costs.clear()
        assert world.roll_up.run().waiting == 0
        found = world.savings.of_account(DAY, DAY + 48 * HOUR).actual
        assert found.total.savings_always_on is None
        assert (found.left_out, [one.subject for one in found.unknown_cost]) == (("ru_2",), ["i-00000002"])
        assert found.priced.savings_always_on == 9 + 6 + 12

    def test_days_without_schedules_count_as_always_on_beside_days_with_them(self):
        world = self.world()
        world.stores.schedules.create(uptime(8, 16))
        live(world, DAY + 48 * HOUR)
        world.change("ru_1", schedule_ids=("sc_1",))
        look(world)
        live(world, DAY + 72 * HOUR + TEN_MINUTES)
        found = world.savings.of_account(DAY, DAY + 72 * HOUR).actual
        assert [day.line.baseline_schedules for day in found.days] == [18, 18, 4 + 6]


def test_a_rule_that_nobody_has_looked_at_yet_has_no_days():
    world = World(**ALONE)
    found = world.savings.of_rule("ru_1", DAY - 48 * HOUR, DAY + 48 * HOUR)
    assert (found.actual.days, found.would.days) == ((), ())
    assert found.actual.total.cost_actual == 0
    account = world.savings.of_account(DAY + 48 * HOUR, DAY + 72 * HOUR)
    assert account.actual.days == ()


def test_what_was_resized_costs_what_it_is_now():
    world = World(**ALONE)
    world.prices.costs[Ec2Product("us-east-1", "m5.large")] = Decimal("0.1")
    live(world, DAY)
    world.instance.instance_type = "m5.large"
    live(world, DAY + 24 * HOUR + TEN_MINUTES)
    assert saved(world).total.savings_always_on == Decimal("2.4")


def test_an_aurora_cluster_costs_what_all_its_instances_do():
    world = World()
    one = RdsProduct("us-east-1", "db.r6g.large", "aurora-postgresql")
    world.prices.costs[one] = Decimal("0.26")
    assert world.new_book().of_product(replace(one, instances=3)) == Decimal("0.78")
    unknown = world.new_book().of_product(replace(one, instance_class="db.serverless", instances=2))
    assert isinstance(unknown, UnknownCost)
