"""What recording usage costs: a write a rule and day, one for each change, and hardly a read. Counted, never timed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.unit.test_savings_story import ALONE, DAY, HOUR, by_hand, live, look
from tests.unit.world import World


class Counted:
    """The calls of a world's usage records from now on."""

    def __init__(self, world: World) -> None:
        self.writes = self.reads = 0
        save, of_rule = world.stores.usage.save, world.stores.usage.of_rule

        def counted_save(record: Any) -> Any:
            self.writes += 1
            return save(record)

        def counted_of_rule(*args: Any) -> Any:
            self.reads += 1
            return of_rule(*args)

        world.stores.usage.save = counted_save  # type: ignore[method-assign]
        world.stores.usage.of_rule = counted_of_rule  # type: ignore[method-assign]


def test_a_rule_that_rests_costs_one_write_and_three_reads_a_day():
    world = World(**ALONE)
    live(world, DAY + timedelta(minutes=30))
    counted = Counted(world)
    live(world, DAY + timedelta(days=10, minutes=30))
    assert counted.writes == 10
    assert counted.reads == 10 * 3


def test_each_change_that_is_observed_costs_one_write():
    world = World(**ALONE)
    live(world, DAY + timedelta(minutes=30))
    counted = Counted(world)
    for hour in range(2, 22, 4):
        by_hand(world, hour, world.cloud.start_by_hand)
        by_hand(world, hour + 2, world.cloud.stop_by_hand)
    assert counted.writes == 10
    assert counted.reads <= 22 + 10


def test_a_hundred_looks_in_one_hour_cost_nothing():
    world = World(**ALONE)
    live(world, DAY + HOUR)
    look(world)
    counted = Counted(world)
    for _ in range(100):
        world.clock.advance(timedelta(seconds=20))
        look(world)
    assert (counted.writes, counted.reads) == (0, 0)
