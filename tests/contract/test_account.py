"""The account's switches, and the stops that begin in a minute."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.adapters.dynamodb.account import DynamoAccount
from chalicelib.adapters.dynamodb.models import AccountItem
from chalicelib.adapters.dynamodb.stores import build_stores
from chalicelib.adapters.memory.clock import START, VirtualClock
from chalicelib.domain.account import STOPS_PER_TICK, AccountSettings
from chalicelib.domain.errors import VersionMismatchError
from tests.contract.conftest_aws import REGION, fresh_aws

MINUTE = timedelta(minutes=1)


class TestSettings:
    def test_what_was_never_set_is_the_default(self, stores):
        assert stores.account.settings() == AccountSettings(max_stops_per_tick=STOPS_PER_TICK)

    def test_what_is_put_is_read_at_the_next_version(self, stores):
        wanted = AccountSettings(True, "an incident", None, "ak_1", START)
        stored = stores.account.put(stores.account.settings(), wanted)
        assert stored == replace(wanted, version=1) == stores.account.settings()
        again = stores.account.put(stored, replace(stored, paused=False))
        assert (again.paused, again.version) == (False, 2)

    @pytest.mark.parametrize("versions", [(0, 0), (1, 1), (0, 7)])
    def test_who_read_an_older_version_writes_nothing(self, stores, versions):
        first, second = versions
        if first:
            stores.account.put(AccountSettings(), AccountSettings())
        stores.account.put(AccountSettings(version=first), AccountSettings(max_stops_per_tick=1))
        with pytest.raises(VersionMismatchError):
            stores.account.put(AccountSettings(version=second), AccountSettings(paused=True))
        assert not stores.account.settings().paused

    def test_counted_stops_are_no_settings(self, stores):
        assert stores.account.begin_stops(1, 10, START)
        assert stores.account.settings() == AccountSettings()
        assert stores.account.put(AccountSettings(), AccountSettings(paused=True)).version == 1


class TestStops:
    def test_so_many_begin_in_a_minute_and_again_in_the_next(self, stores):
        begin = stores.account.begin_stops
        assert [begin(2, 5, START), begin(3, 5, START), begin(1, 5, START)] == [True, True, False]
        assert begin(1, 5, START + timedelta(seconds=59)) is False
        assert begin(1, 5, START + MINUTE) is True

    def test_a_rule_larger_than_the_limit_has_a_minute_of_its_own(self, stores):
        assert stores.account.begin_stops(50, 5, START)
        assert not stores.account.begin_stops(1, 5, START)
        assert stores.account.begin_stops(1, 5, START + MINUTE)
        assert not stores.account.begin_stops(50, 5, START + MINUTE)

    def test_a_worker_whose_clock_is_behind_waits(self, stores):
        assert stores.account.begin_stops(1, 5, START + MINUTE)
        assert not stores.account.begin_stops(1, 5, START)
        assert stores.account.begin_stops(4, 5, START + MINUTE)

    @pytest.mark.parametrize("limit", [5, None])
    def test_none_begins_while_the_account_is_paused(self, stores, limit):
        assert stores.account.begin_stops(1, limit, START)
        paused = stores.account.put(AccountSettings(), AccountSettings(paused=True))
        assert not stores.account.begin_stops(1, limit, START)
        assert not stores.account.begin_stops(1, limit, START + MINUTE)
        stores.account.put(paused, replace(paused, paused=False))
        assert stores.account.begin_stops(1, limit, START + MINUTE)

    def test_without_a_limit_any_number_begins(self, stores):
        assert all(stores.account.begin_stops(1000, None, START) for _ in range(5))

    def test_of_two_workers_at_once_only_as_many_begin_as_may(self, stores, meanwhile):
        assert stores.account.begin_stops(1, 2, START)
        with meanwhile(lambda: stores.account.begin_stops(1, 2, START)):
            begun = stores.account.begin_stops(1, 2, START)
        assert not begun


def test_two_that_are_the_first_of_a_minute_at_once_both_begin():
    """DynamoDB alone: in memory nothing comes in between."""
    with fresh_aws():
        build_stores("autostop-test-", REGION, VirtualClock())
        AccountItem.create_table(wait=False)
        other = DynamoAccount()

        class Interrupted(DynamoAccount):
            came = False

            def _update(self, actions, condition):
                done = super()._update(actions, condition)
                if not self.came:
                    Interrupted.came = True
                    assert other.begin_stops(1, 5, START)
                return done

        assert Interrupted().begin_stops(1, 5, START)
        assert [other.begin_stops(3, 5, START), other.begin_stops(1, 5, START)] == [True, False]
