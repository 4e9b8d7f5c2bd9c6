"""How a region is left alone after it has throttled."""

from __future__ import annotations

from datetime import timedelta

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.resources import Connector, Place, ResourceKind

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
EC2 = ResourceKind.EC2
THEIRS = "arn:aws:iam::210987654321:role/"
HERE = Place(EC2, "us-east-1")


class TestBackOffs:
    def test_a_region_that_never_throttled_is_not_waited_for(self, stores):
        assert stores.back_offs.until(HERE) is None

    def test_each_strike_after_a_back_off_doubles_it_up_to_five_minutes(self, stores):
        now, waits = START, []
        for _ in range(9):
            until = stores.back_offs.throttled(HERE, now)
            assert stores.back_offs.until(HERE) == until
            waits.append((until - now).total_seconds())
            now = until
        assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]

    def test_calls_that_were_under_way_count_once(self, stores):
        until = stores.back_offs.throttled(HERE, START)
        assert stores.back_offs.throttled(HERE, START + SECOND) == until

    def test_a_quarter_of_an_hour_without_a_strike_is_a_new_beginning(self, stores):
        until = stores.back_offs.throttled(HERE, START)
        later = until + 16 * MINUTE
        assert stores.back_offs.throttled(HERE, later) == later + 5 * SECOND

    def test_regions_and_kinds_are_apart(self, stores):
        stores.back_offs.throttled(HERE, START)
        assert stores.back_offs.until(Place(EC2, "eu-central-1")) is None
        assert stores.back_offs.until(Place(ResourceKind.RDS, "us-east-1")) is None
        assert stores.back_offs.until(Place(EC2, "us-east-1", Connector(THEIRS + "one"))) is None

    def test_whatever_role_asks_an_account_is_one(self, stores):
        until = stores.back_offs.throttled(Place(EC2, "us-east-1", Connector(THEIRS + "one")), START)
        assert stores.back_offs.until(Place(EC2, "us-east-1", Connector(THEIRS + "other", "external"))) == until
        assert stores.back_offs.until(HERE) is None
