"""Places to wait in: bounded, exact under a race, and free again when whoever had one is gone."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.adapters.dynamodb.holds import DynamoHolds
from chalicelib.adapters.memory.holds import MemoryHolds
from chalicelib.adapters.memory.stores import MemoryStores
from chalicelib.domain.holding import PLACES

if TYPE_CHECKING:
    from types import SimpleNamespace

    from chalicelib.adapters.memory.clock import VirtualClock

TRIES = 400


@pytest.fixture
def holds(stores: SimpleNamespace, clock: VirtualClock) -> Any:
    if isinstance(stores, MemoryStores):
        return MemoryHolds(clock)
    return DynamoHolds(clock, random.Random(7).sample)


@pytest.fixture
def until(clock: VirtualClock) -> Any:
    return clock.now() + timedelta(seconds=25)


def fill(holds: Any, until: Any, rule: str = "ru_1") -> dict[str, int]:
    taken = {f"ho_{n}": holds.take("lb_1", rule, f"ho_{n}", until) for n in range(TRIES)}
    return {holder: place for holder, place in taken.items() if place is not None}


def test_there_are_so_many_places_and_no_more(holds, until):
    taken = fill(holds, until)
    assert sorted(taken.values()) == list(range(PLACES))


def test_each_rule_has_its_own(holds, until):
    fill(holds, until)
    assert len(fill(holds, until, "ru_2")) == PLACES


def test_a_place_that_is_given_back_is_free(holds, until):
    (holder, place), *_ = fill(holds, until).items()
    holds.give_back("lb_1", "ru_1", holder, place)
    assert set(fill(holds, until).values()) == {place}


def test_what_another_has_by_now_is_not_given_back(holds, until):
    (_, place), *_ = fill(holds, until).items()
    holds.give_back("lb_1", "ru_1", "ho_of_long_ago", place)
    holds.give_back("lb_1", "ru_never", "ho_1", place)
    assert fill(holds, until) == {}


def test_a_place_whose_process_died_is_free_when_its_time_is_over(holds, until, clock):
    fill(holds, until)
    clock.advance(timedelta(seconds=25))
    assert len(fill(holds, until + timedelta(seconds=25))) == PLACES


def test_places_are_nothing_that_a_proxy_polls(stores, holds, until):
    before = stores.proxies.poll("lb_1")
    fill(holds, until)
    assert stores.proxies.poll("lb_1") == before
    assert list(stores.proxies.rules("lb_1")) == []
