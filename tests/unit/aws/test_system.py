from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

from chalicelib.adapters.aws.system import RandomIds, SystemClock
from chalicelib.domain.access import parse_bearer


def test_the_clock_is_aware_and_in_utc() -> None:
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


def test_ids_sort_by_time_and_never_repeat() -> None:
    ids = RandomIds()
    made = []
    for _ in range(5):
        made.append(ids.new("ru"))
        time.sleep(0.002)
    assert made == sorted(made)
    assert all(re.fullmatch(r"ru_[a-z0-9]{26}", id_) for id_ in made)
    assert len({ids.new("ev") for _ in range(10_000)}) == 10_000


def test_a_secret_has_256_bits_and_no_underscore() -> None:
    ids = RandomIds()
    secrets = {ids.secret() for _ in range(500)}
    assert len(secrets) == 500
    assert all(re.fullmatch(r"[A-Za-z0-9-]{43,}", secret) for secret in secrets)


def test_a_token_of_both_is_taken_apart_again() -> None:
    ids = RandomIds()
    id_, secret = ids.new("ak"), ids.secret()
    assert parse_bearer(f"Bearer {id_}_{secret}") == (id_, secret)
