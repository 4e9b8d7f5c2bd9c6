"""Rules when things happen at once, late or twice.

`with meanwhile(do): call()` is somebody else who gets in between what the call reads and what it writes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.adapters.dynamodb.models import ProxyItem
from chalicelib.adapters.memory.clock import START
from chalicelib.adapters.memory.stores import MemoryStores
from chalicelib.domain.decisions import Action
from chalicelib.domain.errors import (
    AlreadyClaimedError,
    ConflictError,
    LostClaimError,
    NotFoundError,
    TooLargeError,
    VersionMismatchError,
)
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.routes import HttpRoute
from chalicelib.domain.rules import Claim, RuleState, RuleStatus, SeenResource
from chalicelib.ports import Idempotency, PollState
from tests.builders import make_balancer, make_rule, make_schedule, ssh_rule

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def hosts(prefix: str, count: int) -> tuple[HttpRoute, ...]:
    return (HttpRoute(tuple(f"{prefix}{n}.example.com" for n in range(count))),)


def fill(stores: Any, rules: int) -> None:
    """lb_1 with so many rules, of which one is real."""
    if isinstance(stores, MemoryStores):
        for n in range(1, rules):
            stores.proxies.put_rule("lb_1", f"ru_x{n}", "{}")
    else:
        ProxyItem("lb_1", "poll").update(actions=[ProxyItem.rules.set(rules)])


class TestIdempotency:
    def test_two_creates_at_once_with_one_key_give_one_rule(self, stores, meanwhile):
        key = Idempotency("k", "f")
        with meanwhile(lambda: stores.rules.create(make_rule("ru_1"), "{}", key)):
            assert stores.rules.create(make_rule("ru_9"), "{}", key).id == "ru_1"
        assert [rule.id for rule in stores.rules.list(10).items] == ["ru_1"]
        assert stores.proxies.poll("lb_1").rules_version == 1

    def test_two_creates_at_once_with_one_key_for_different_bodies_give_one_rule_and_a_refusal(self, stores, meanwhile):
        other = ssh_rule("ru_9")
        with (
            meanwhile(lambda: stores.rules.create(make_rule(), "{}", Idempotency("k", "f"))),
            pytest.raises(ConflictError),
        ):
            stores.rules.create(other, "{}", Idempotency("k", "another"))
        assert stores.rules.get_many(["ru_1", "ru_9"]).keys() == {"ru_1"}

    def test_a_refused_create_leaves_its_key_free(self, stores):
        stores.rules.create(make_rule(), "{}")
        with pytest.raises(AlreadyClaimedError):
            stores.rules.create(make_rule("ru_2"), "{}", Idempotency("k", "f"))
        assert stores.rules.create(ssh_rule("ru_2"), "{}", Idempotency("k", "f")).id == "ru_2"

    def test_the_first_answer_is_the_rule_as_it_is_now(self, stores):
        key = Idempotency("k", "f")
        rule = stores.rules.create(make_rule(), "{}", key)
        changed = stores.rules.replace(rule, replace(rule, spec=replace(rule.spec, name="new")), "{}")
        assert stores.rules.create(make_rule("ru_9"), "{}", key) == changed

    def test_a_key_answers_for_24_hours_and_is_then_free_even_while_it_is_still_stored(self, stores, clock):
        key = Idempotency("k", "f")
        stores.rules.create(make_rule(), "{}", key)
        stores.balancers.create(make_balancer("lb_2"), key)
        clock.advance(DAY - SECOND)
        assert stores.rules.create(ssh_rule("ru_2"), "{}", key).id == "ru_1"
        assert stores.balancers.create(make_balancer("lb_3"), key).id == "lb_2"
        clock.advance(SECOND)
        another = Idempotency("k", "another")
        assert stores.rules.create(ssh_rule("ru_2"), "{}", another).id == "ru_2"
        assert stores.rules.create(ssh_rule("ru_3"), "{}", another).id == "ru_2"
        assert stores.balancers.create(make_balancer("lb_3"), another).id == "lb_3"
        assert stores.balancers.create(make_balancer("lb_4"), another).id == "lb_3"

    def test_keys_of_rules_and_of_load_balancers_are_apart(self, stores):
        key = Idempotency("k", "f")
        assert stores.balancers.create(make_balancer("lb_2"), key).id == "lb_2"
        assert stores.rules.create(make_rule(), "{}", key).id == "ru_1"

    def test_two_creates_at_once_with_one_key_give_one_load_balancer(self, stores, meanwhile):
        key = Idempotency("k", "f")
        with meanwhile(lambda: stores.balancers.create(make_balancer("lb_2"), key)):
            assert stores.balancers.create(make_balancer("lb_3"), key) == make_balancer("lb_2")
        assert {balancer.id for balancer in stores.balancers.list(10).items} == {"lb_1", "lb_2"}
        with pytest.raises(NotFoundError):
            stores.proxies.poll("lb_3")

    def test_two_creates_at_once_with_one_key_give_one_schedule(self, stores, meanwhile, clock):
        key = Idempotency("k", "f")
        with meanwhile(lambda: stores.schedules.create(make_schedule("sc_1"), key)):
            assert stores.schedules.create(make_schedule("sc_2"), key) == make_schedule("sc_1")
        assert [schedule.id for schedule in stores.schedules.list(10).items] == ["sc_1"]
        with pytest.raises(ConflictError):
            stores.schedules.create(make_schedule("sc_2"), Idempotency("k", "another"))
        clock.advance(DAY)
        assert stores.schedules.create(make_schedule("sc_2"), Idempotency("k", "another")).id == "sc_2"

    def test_a_create_that_fails_half_way_can_be_repeated(self, stores, meanwhile):
        key = Idempotency("k", "f")

        def fail() -> None:
            raise ConnectionError

        for write in (1, 2, 3):
            with suppress(ConnectionError), meanwhile(fail, write):
                stores.balancers.create(make_balancer(f"lb_1{write}"), key)
        made = stores.balancers.create(make_balancer("lb_2"), key)
        assert stores.balancers.get(made.id) == made
        assert stores.proxies.poll(made.id) == PollState(0, 0)


class TestRulesAtOnce:
    def test_of_two_creates_of_one_host_one_wins_and_the_other_learns_who(self, stores, meanwhile):
        other = make_rule("ru_9", resource_ids=("i-9",))
        with (
            meanwhile(lambda: stores.rules.create(make_rule(), "{}")),
            pytest.raises(AlreadyClaimedError) as caught,
        ):
            stores.rules.create(other, "{}")
        assert caught.value.owners == {"host app.example.com/*": "ru_1"}
        assert stores.rules.owners(other.spec.refs) == {}
        assert stores.proxies.rules("lb_1") == ("{}",)

    def test_of_two_replaces_one_wins(self, stores, meanwhile):
        rule = stores.rules.create(make_rule(), "{}")
        mine, theirs = (replace(rule, spec=replace(rule.spec, name=name)) for name in ("mine", "theirs"))
        with (
            meanwhile(lambda: stores.rules.replace(rule, theirs, "{}")),
            pytest.raises(VersionMismatchError),
        ):
            stores.rules.replace(rule, mine, "{}")
        stored = stores.rules.get("ru_1")
        assert (stored.spec.name, stored.version) == ("theirs", 2)

    def test_a_replace_keeps_the_status_that_was_written_meanwhile(self, stores, meanwhile):
        status = RuleStatus(RuleState.UP, due_at=START, failures=2, seen=(SeenResource("i-1", ResourceState.RUNNING),))
        rule = stores.rules.create(make_rule(status=status), "{}")
        renamed = replace(rule, spec=replace(rule.spec, name="new"), status=RuleStatus())
        with meanwhile(lambda: stores.status.wake("ru_1", START + SECOND, "traffic", START)):
            after = stores.rules.replace(rule, renamed, "{}")
        assert after == stores.rules.get("ru_1")
        assert after.status == replace(status, woken_at=START + SECOND, woken_by="traffic")
        assert (after.spec.name, after.version, after.revision) == ("new", 2, 3)

    def test_a_replaced_rule_is_due_at_once_and_was_updated_now(self, stores, clock):
        rule = stores.rules.create(make_rule(status=RuleStatus()), "{}")
        clock.advance(MINUTE)
        after = stores.rules.replace(rule, rule, "{}")
        assert (after.status.due_at, after.updated_at, after.created_at) == (START + MINUTE, START + MINUTE, START)
        assert [due.id for due in stores.status.due(START + MINUTE, 10).items] == ["ru_1"]

    def test_what_was_decided_before_a_replace_is_not_done(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        stores.rules.replace(rule, rule, "{}")
        for late in (
            lambda: stores.status.claim(rule, Claim("at_1", Action.STOP, START + MINUTE), rule.status),
            lambda: stores.status.record(rule, rule.status),
            lambda: stores.status.set_override(rule, None, START),
        ):
            with pytest.raises(LostClaimError):
                late()

    def test_a_delete_at_an_old_version_leaves_everything(self, stores, meanwhile):
        rule = stores.rules.create(make_rule(), '{"a":1}')
        with meanwhile(lambda: stores.rules.replace(rule, rule, '{"b":1}')), pytest.raises(VersionMismatchError):
            stores.rules.delete(rule)
        with pytest.raises(VersionMismatchError):
            stores.rules.delete(rule)
        assert stores.proxies.rules("lb_1") == ('{"b":1}',)
        assert stores.rules.owners(rule.spec.refs) == dict.fromkeys(rule.spec.refs, "ru_1")
        stores.rules.delete(stores.rules.get("ru_1"))

    def test_what_is_not_there_is_neither_replaced_nor_deleted(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        stores.rules.delete(rule)
        with pytest.raises(NotFoundError):
            stores.rules.replace(rule, rule, "{}")
        with pytest.raises(NotFoundError):
            stores.rules.delete(rule)
        assert stores.proxies.rules("lb_1") == ()

    def test_a_rule_is_not_made_on_a_load_balancer_that_goes_meanwhile(self, stores, meanwhile):
        with (
            meanwhile(lambda: stores.balancers.delete(stores.balancers.get("lb_1"))),
            pytest.raises(NotFoundError),
        ):
            stores.rules.create(make_rule(), "{}")
        assert stores.rules.get_many(["ru_1"]) == {}
        assert stores.rules.owners(make_rule().spec.refs) == {}


class TestRulesAndTheirProxy:
    def test_moving_to_another_load_balancer_takes_everything_along(self, stores):
        stores.balancers.create(make_balancer("lb_2"))
        rule = stores.rules.create(make_rule(), '{"a":1}')
        stores.proxies.put_state("lb_1", "ru_1", '{"s":1}', None)
        before = stores.proxies.poll("lb_1")
        moved = stores.rules.replace(rule, replace(rule, spec=replace(rule.spec, load_balancer_id="lb_2")), '{"b":1}')
        assert stores.proxies.rules("lb_1") == stores.proxies.states("lb_1", START) == ()
        assert stores.proxies.rules("lb_2") == ('{"b":1}',)
        left, joined = stores.proxies.poll("lb_1"), stores.proxies.poll("lb_2")
        assert left.rules_version > before.rules_version
        assert left.states_version > before.states_version
        assert joined.rules_version == 1
        stores.balancers.delete(stores.balancers.get("lb_1"))
        with pytest.raises(ConflictError):
            stores.balancers.delete(stores.balancers.get("lb_2"))
        stores.rules.delete(moved)
        stores.balancers.delete(stores.balancers.get("lb_2"))

    def test_a_delete_is_seen_by_the_next_poll(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        stores.proxies.put_state("lb_1", "ru_1", "{}", None)
        before = stores.proxies.poll("lb_1")
        stores.rules.delete(rule)
        after = stores.proxies.poll("lb_1")
        assert after.rules_version > before.rules_version
        assert after.states_version > before.states_version

    def test_a_rule_without_a_load_balancer(self, stores):
        rule = make_rule(load_balancer_id=None, http=())
        assert stores.rules.create(rule, None) == stores.rules.get("ru_1") == rule
        assert stores.proxies.poll("lb_1").rules_version == 0
        joined = stores.rules.replace(rule, replace(rule, spec=make_rule().spec), "{}")
        assert stores.proxies.rules("lb_1") == ("{}",)
        left = stores.rules.replace(joined, replace(joined, spec=rule.spec), None)
        assert stores.proxies.rules("lb_1") == ()
        stores.rules.delete(left)
        stores.balancers.delete(stores.balancers.get("lb_1"))

    def test_a_proxy_takes_2000_rules_and_says_so(self, stores, meanwhile):
        rule = stores.rules.create(make_rule(), "{}")
        fill(stores, 2000)
        with pytest.raises(TooLargeError, match="2000"):
            stores.rules.create(ssh_rule(), "{}")
        assert stores.rules.owners(ssh_rule().spec.refs) == {}
        after = stores.rules.replace(rule, rule, '{"b":1}')
        assert after.version == 2
        with meanwhile(lambda: stores.rules.replace(after, after, "{}")), pytest.raises(VersionMismatchError):
            stores.rules.replace(after, after, "{}")
        stores.rules.delete(stores.rules.get("ru_1"))
        stores.rules.create(ssh_rule(), "{}")

    def test_a_replace_cannot_change_more_than_one_transaction_carries(self, stores):
        rule = stores.rules.create(make_rule(http=hosts("a", 60)), "{}")
        for routes, number in [(hosts("b", 95), "97"), (hosts("b", 60), "120")]:
            with pytest.raises(TooLargeError, match=number):
                stores.rules.replace(rule, replace(rule, spec=replace(rule.spec, http=routes)), "{}")
        assert stores.rules.get("ru_1") == rule
        fewer = stores.rules.replace(rule, replace(rule, spec=replace(rule.spec, http=hosts("a", 20))), "{}")
        other = stores.rules.replace(fewer, replace(fewer, spec=replace(rule.spec, http=hosts("b", 60))), "{}")
        assert other.spec.http == hosts("b", 60)
        with pytest.raises(AlreadyClaimedError):
            stores.rules.create(make_rule("ru_9", resource_ids=("i-9",), http=hosts("b", 1)), "{}")
        stores.rules.create(make_rule("ru_9", resource_ids=("i-9",), http=hosts("a", 60)), "{}")
