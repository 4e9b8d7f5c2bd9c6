"""What proxies poll and prove when things happen at once, late or twice.

`with meanwhile(do): call()` is somebody else who gets in between what the call reads and what it writes.
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.activity import Heartbeat, Span
from chalicelib.domain.errors import (
    CloudError,
    ConflictError,
    NotFoundError,
    VersionMismatchError,
)
from chalicelib.ports import PollState
from tests.builders import make_balancer, make_rule

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


class TestStatesOfProxies:
    def test_the_version_that_is_answered_carries_the_state(self, stores):
        put = stores.proxies.put_state
        versions = [
            put("lb_1", "ru_1", '{"a":1}', None),
            put("lb_1", "ru_2", '{"b":1}', START + MINUTE),
            put("lb_1", "ru_1", '{"a":2}', None),
            put("lb_1", "ru_1", '{"a":2}', START + MINUTE),
            put("lb_1", "ru_2", None, None),
        ]
        assert versions == [1, 2, 3, 4, 5]
        assert stores.proxies.poll("lb_1").states_version == 5
        assert stores.proxies.states("lb_1", START) == ('{"a":2}',)
        assert put("lb_1", "ru_1", '{"a":2}', START + MINUTE) == put("lb_1", "ru_2", None, START) == 5
        assert put("lb_1", "ru_1", '{"a":2}', None) == 6
        assert stores.proxies.states("lb_1", START + 400 * DAY) == ('{"a":2}',), "without an end it never expires"

    @pytest.mark.parametrize("write", [1, 2])
    @pytest.mark.parametrize("state", ['{"b":1}', None])
    def test_a_state_that_could_not_be_stored_whole_was_not_stored(self, stores, meanwhile, state, write):
        def fail() -> None:
            raise ConnectionError

        first = stores.proxies.put_state("lb_1", "ru_1", '{"a":1}', None)
        with suppress(ConnectionError), meanwhile(fail, write):
            stores.proxies.put_state("lb_1", "ru_1", state, START + MINUTE)
        # Who tries again must not be told a version that members may have applied without this state.
        assert stores.proxies.put_state("lb_1", "ru_1", state, START + MINUTE) == first + 1
        assert stores.proxies.poll("lb_1").states_version == first + 1

    @pytest.mark.parametrize(("conflicts", "stored"), [(4, True), (5, False)])
    def test_states_of_other_rules_that_are_in_the_way_are_waited_out(self, stores, meanwhile, conflicts, stored):
        if meanwhile.one_step:
            return  # two of them are never in each other's way

        def conflict() -> None:
            nonlocal conflicts
            conflicts -= 1
            answer = {
                "Error": {"Code": "TransactionCanceledException", "Message": "words of AWS"},
                "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}],
            }
            if conflicts:
                meanwhile.again(conflict)
            raise ClientError(answer, "TransactWriteItems")

        with meanwhile(conflict):
            if stored:
                assert stores.proxies.put_state("lb_1", "ru_1", "{}", None) == 1
            else:
                with pytest.raises(CloudError) as caught:
                    stores.proxies.put_state("lb_1", "ru_1", "{}", None)
                assert caught.value.retryable
        assert stores.proxies.states("lb_1", START) == ("{}",) * stored
        assert stores.proxies.poll("lb_1").states_version == stored

    def test_two_states_at_once_have_a_version_each(self, stores, meanwhile):
        with meanwhile(lambda: stores.proxies.put_state("lb_1", "ru_2", '{"b":1}', None)):
            assert stores.proxies.put_state("lb_1", "ru_1", '{"a":1}', None) == 2
        assert set(stores.proxies.states("lb_1", START)) == {'{"a":1}', '{"b":1}'}

    def test_a_load_balancer_that_is_not_there_has_no_states_and_gets_none(self, stores):
        for state in ("{}", None):
            with pytest.raises(NotFoundError):
                stores.proxies.put_state("lb_2", "ru_1", state, None)
        assert (
            stores.proxies.states("lb_2", START) == stores.proxies.rules("lb_2") == stores.proxies.sources("lb_2") == ()
        )
        stores.balancers.create(make_balancer("lb_2"))
        assert stores.proxies.states("lb_2", START) == ()


class TestHeartbeatsAtOnce:
    def beat(self, start: int, end: int, member: str = "m", **more: Any) -> Heartbeat:
        return Heartbeat(member, end, START + start * SECOND, START + end * SECOND, **more)

    def send(self, stores: Any, *spans: tuple[int, int], member: str = "m", **more: Any) -> None:
        for start, end in spans:
            stores.proxies.beat("lb_1", self.beat(start, end, member, **more), START + 100 * SECOND, MINUTE)

    def span(self, stores: Any, member: str = "m") -> Span | None:
        return next(source.span for source in stores.proxies.sources("lb_1") if source.name == member)

    def test_two_beats_of_one_member_at_once_both_count(self, stores, meanwhile):
        with meanwhile(lambda: self.send(stores, (0, 10))):
            self.send(stores, (10, 20))
        assert self.span(stores) == Span(START, START + 20 * SECOND)
        with meanwhile(lambda: self.send(stores, (20, 30))):
            self.send(stores, (30, 40))
        assert self.span(stores).end == START + 40 * SECOND
        assert stores.proxies.poll("lb_1").resend_from == {}

    def test_in_any_order_the_span_is_all_that_was_proved(self, stores):
        spans = [(10, 20), (20, 30), (30, 40)]
        for n, order in enumerate(itertools.permutations(spans)):
            self.send(stores, (0, 10), *order, *order[:2], member=f"m{n}")
            assert self.span(stores, f"m{n}") == Span(START, START + 40 * SECOND)
        assert stores.proxies.poll("lb_1").resend_from == {}

    @pytest.mark.parametrize("write", [1, 2])
    def test_holes_of_two_members_at_once_are_both_asked_for(self, stores, meanwhile, write):
        for member in ("m", "n"):
            self.send(stores, (0, 10), member=member)
        with meanwhile(lambda: self.send(stores, (20, 30), member="n"), write):
            self.send(stores, (20, 30))
        assert stores.proxies.poll("lb_1").resend_from == dict.fromkeys(("m", "n"), START + 10 * SECOND)
        with meanwhile(lambda: self.send(stores, (10, 20), member="n"), write):
            self.send(stores, (10, 20))
        assert stores.proxies.poll("lb_1").resend_from == {}

    @pytest.mark.parametrize("write", [1, 2])
    def test_a_hole_that_is_mended_while_it_is_noted_is_not_asked_for(self, stores, meanwhile, write):
        self.send(stores, (0, 10))
        with meanwhile(lambda: self.send(stores, (10, 20)), write):
            self.send(stores, (20, 30))
        assert self.span(stores).end == START + 30 * SECOND
        assert stores.proxies.poll("lb_1").resend_from == {}

    @pytest.mark.parametrize("write", [1, 2])
    def test_a_hole_that_opens_while_another_is_mended_is_asked_for(self, stores, meanwhile, write):
        self.send(stores, (0, 10), (20, 30))
        with meanwhile(lambda: self.send(stores, (50, 60)), write):
            self.send(stores, (10, 20))
        assert self.span(stores).end == START + 30 * SECOND
        assert stores.proxies.poll("lb_1").resend_from == {"m": START + 30 * SECOND}

    def test_what_a_member_gives_up_is_not_asked_for_any_longer(self, stores):
        self.send(stores, (0, 10), (20, 30))
        assert stores.proxies.poll("lb_1").resend_from == {"m": START + 10 * SECOND}
        self.send(stores, (40, 50), hole=True)
        assert self.span(stores) == Span(START + 40 * SECOND, START + 50 * SECOND)
        assert stores.proxies.poll("lb_1").resend_from == {}

    def test_a_beat_that_proves_nothing_makes_the_member_known(self, stores):
        progress = stores.proxies.beat("lb_1", self.beat(0, 10, complete=False), START + MINUTE, 3 * MINUTE)
        assert not progress.moved
        (source,) = stores.proxies.sources("lb_1")
        assert (source.name, source.span, source.max_silence) == ("m", None, 3 * MINUTE)

    def test_a_beat_keeps_what_is_applied_meanwhile_and_the_other_way_round(self, stores, meanwhile):
        self.send(stores, (0, 10))
        with meanwhile(lambda: stores.proxies.applied("lb_1", "m", 7, START + MINUTE)):
            self.send(stores, (10, 20), config="r1.s5")
        with meanwhile(lambda: self.send(stores, (20, 30))):
            stores.proxies.applied("lb_1", "m", 8, START + 2 * MINUTE)
        (source,) = stores.proxies.sources("lb_1")
        assert source.span == Span(START, START + 30 * SECOND)
        assert (source.config_states_version, source.config_at) == (8, START + 2 * MINUTE)

    def test_of_two_versions_applied_at_once_the_newer_stays(self, stores, meanwhile):
        with meanwhile(lambda: stores.proxies.applied("lb_1", "m", 5, START)):
            stores.proxies.applied("lb_1", "m", 4, START + SECOND)
        self.send(stores, (0, 10), config="r9.s3")
        stores.proxies.applied("lb_1", "n", 0, START)
        sources = {source.name: source for source in stores.proxies.sources("lb_1")}
        assert (sources["m"].config_states_version, sources["m"].config_at) == (5, START)
        assert (sources["n"].config_states_version, sources["n"].config_at) == (0, START)
        assert sources["n"].span is None

    def test_no_member_is_kept_of_a_load_balancer_that_is_not_there(self, stores):
        with pytest.raises(NotFoundError):
            stores.proxies.applied("lb_2", "m", 1, START)
        with pytest.raises(NotFoundError):
            stores.proxies.beat("lb_2", self.beat(0, 10), START + MINUTE, MINUTE)
        self.send(stores, (0, 10), (20, 30))
        stores.balancers.delete(stores.balancers.get("lb_1"))
        with pytest.raises(NotFoundError):
            self.send(stores, (30, 40))
        for again in ("lb_1", "lb_2"):
            stores.balancers.create(make_balancer(again))
            assert stores.proxies.sources(again) == ()
            assert stores.proxies.poll(again) == PollState(0, 0)


class TestLoadBalancersAtOnce:
    def test_a_refused_delete_takes_nothing_away(self, stores):
        stale = stores.balancers.get("lb_1")
        renamed = stores.balancers.replace(stale, replace(stale, name="new"))
        rule = stores.rules.create(make_rule(), "{}")
        stores.proxies.put_state("lb_1", "ru_1", "{}", None)
        before = stores.proxies.poll("lb_1")
        with pytest.raises(VersionMismatchError):
            stores.balancers.delete(stale)
        with pytest.raises(ConflictError):
            stores.balancers.delete(renamed)
        assert stores.proxies.poll("lb_1") == before
        stores.rules.delete(rule)
        before = stores.proxies.poll("lb_1")
        with pytest.raises(VersionMismatchError):
            stores.balancers.delete(stale)
        assert stores.proxies.poll("lb_1") == before
        assert stores.balancers.get("lb_1") == renamed

    def test_a_rule_that_comes_at_the_last_moment_keeps_its_load_balancer(self, stores, meanwhile):
        balancer = stores.balancers.get("lb_1")
        with meanwhile(lambda: stores.rules.create(make_rule(), "{}")), pytest.raises(ConflictError):
            stores.balancers.delete(balancer)
        assert stores.balancers.get("lb_1") == balancer
        assert stores.proxies.poll("lb_1").rules_version == 1

    def test_of_two_replaces_one_wins(self, stores, meanwhile):
        balancer = stores.balancers.get("lb_1")
        with (
            meanwhile(lambda: stores.balancers.replace(balancer, replace(balancer, name="theirs"))),
            pytest.raises(VersionMismatchError),
        ):
            stores.balancers.replace(balancer, replace(balancer, name="mine"))
        assert stores.balancers.get("lb_1") == replace(balancer, name="theirs", version=2)
        with (
            meanwhile(lambda: stores.balancers.replace(stores.balancers.get("lb_1"), balancer)),
            pytest.raises(VersionMismatchError),
        ):
            stores.balancers.delete(replace(balancer, version=2))
        assert stores.proxies.poll("lb_1") == PollState(0, 0)

    def test_what_is_not_there_is_neither_replaced_nor_deleted(self, stores):
        nobody = make_balancer("lb_9")
        with pytest.raises(NotFoundError):
            stores.balancers.replace(nobody, nobody)
        with pytest.raises(NotFoundError):
            stores.balancers.delete(nobody)
        assert [balancer.id for balancer in stores.balancers.list(10).items] == ["lb_1"]
