"""What `ports.Clock` and `ports.Ids` promise, of the ones that tests hold in their hands and of the machine's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from chalicelib.adapters.aws.system import RandomIds, SystemClock
from chalicelib.adapters.memory.clock import SequentialIds, VirtualClock
from chalicelib.domain.access import hash_secret, parse_bearer

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.ports import Clock, Ids

PREFIXES = ("ru", "lb", "ak", "ev", "at")


@dataclass
class Machine:
    """A clock and ids; `wait` lets time pass for the ids."""

    clock: Clock
    ids: Ids
    wait: Callable[[timedelta], None]


@pytest.fixture(params=["memory", "machine"])
def machine(request: pytest.FixtureRequest) -> Machine:
    clock = VirtualClock()
    if request.param == "memory":
        return Machine(clock, SequentialIds(), clock.advance)
    return Machine(SystemClock(), RandomIds(lambda: int(clock.now().timestamp() * 1000) * 1_000_000), clock.advance)


def test_the_time_is_aware_and_in_utc(machine):
    now = machine.clock.now()
    assert isinstance(now, datetime)
    assert now.tzinfo is UTC


def test_time_does_not_go_back(machine):
    times = [machine.clock.now() for _ in range(100)]
    assert times == sorted(times)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_id_is_its_prefix_an_underscore_and_small_letters_and_digits(machine, prefix):
    for _ in range(100):
        assert re.fullmatch(rf"{prefix}_[a-z0-9]{{4,40}}", machine.ids.new(prefix))


def test_ids_sort_by_time(machine):
    made = []
    for step in (timedelta(milliseconds=1), timedelta(seconds=1), timedelta(days=400), timedelta(days=4000)):
        for _ in range(5):
            made.append(machine.ids.new("ev"))
            machine.wait(step)
    assert made == sorted(made)
    assert len({len(id_) for id_ in made}) == 1


def test_no_two_ids_are_the_same_even_at_one_time(machine):
    made = [machine.ids.new(prefix) for _ in range(2000) for prefix in PREFIXES]
    assert len(set(made)) == len(made)
    assert len({id_.split("_")[1] for id_ in made}) == len(made)


def test_a_secret_is_long_safe_in_a_url_and_without_underscores(machine):
    made = [machine.ids.secret() for _ in range(500)]
    assert len(set(made)) == 500
    # 43 characters of 64 hold 256 bits.
    assert all(re.fullmatch(r"[A-Za-z0-9-]{43,120}", secret) for secret in made)


def test_an_id_and_a_secret_make_a_token_that_comes_apart_again(machine):
    for _ in range(100):
        id_, secret = machine.ids.new("ak"), machine.ids.secret()
        assert parse_bearer(f"Bearer {id_}_{secret}") == (id_, secret)
        assert hash_secret(secret) != secret
