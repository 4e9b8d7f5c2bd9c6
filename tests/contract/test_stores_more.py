"""What the stores promise when things happen at once, late, twice, out of order, or are long past.

`with meanwhile(do): call()` is somebody else who gets in between what the call reads and what it writes.
"""

from __future__ import annotations

import base64
import itertools
import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.adapters.dynamodb.models import ProxyItem
from chalicelib.adapters.memory.clock import START
from chalicelib.adapters.memory.stores import MemoryStores
from chalicelib.domain.activity import Heartbeat, Span
from chalicelib.domain.decisions import Action
from chalicelib.domain.errors import (
    AlreadyClaimedError,
    CloudError,
    ConflictError,
    InvalidInputError,
    LostClaimError,
    NotFoundError,
    TooLargeError,
    VersionMismatchError,
)
from chalicelib.domain.resources import ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.rules import Claim, HttpRoute, Override, OverrideKind, RuleState, RuleStatus, SeenResource
from chalicelib.ports import Health, Idempotency, LastActivity, PollState, Total
from tests.builders import make_balancer, make_event, make_key, make_rule, make_schedule, ssh_rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.domain.rules import Rule
    from chalicelib.ports import Page

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
INDIA = timezone(timedelta(hours=5, minutes=30))


def tcp_rules(count: int, **changes: Any) -> list[Rule]:
    return [ssh_rule(f"ru_{n}", 20000 + n, resource_ids=(f"i-{n}",), **changes) for n in range(count)]


def hosts(prefix: str, count: int) -> tuple[HttpRoute, ...]:
    return (HttpRoute(tuple(f"{prefix}{n}.example.com" for n in range(count))),)


def ids_in_pages(fetch: Callable[[str | None], Page[Any]], between: Callable[[], object] = lambda: None) -> list[str]:
    """Every id that the pages name; `between` happens after the first."""
    first = fetch(None)
    found, cursor = [item.id for item in first.items], first.next_cursor
    between()
    while cursor is not None:
        page = fetch(cursor)
        found += [item.id for item in page.items]
        cursor = page.next_cursor
    return found


def forged(**key: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


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


def fill(stores: Any, rules: int) -> None:
    """lb_1 with so many rules, of which one is real."""
    if isinstance(stores, MemoryStores):
        for n in range(1, rules):
            stores.proxies.put_rule("lb_1", f"ru_x{n}", "{}")
    else:
        ProxyItem("lb_1", "poll").update(actions=[ProxyItem.rules.set(rules)])


class TestReadingRules:
    def test_many_at_once_with_unknown_and_repeated_ids(self, stores):
        rules = [stores.rules.create(rule, "{}") for rule in tcp_rules(3)]
        ids = [rule.id for rule in rules]
        assert stores.rules.get_many([]) == {}
        assert stores.rules.get_many([*ids, *ids, *(f"ru_none{n}" for n in range(94))]) == {r.id: r for r in rules}

    def test_owners_of_many_resources(self, stores):
        assert stores.rules.owners([]) == {}
        for rule in tcp_rules(2):
            stores.rules.create(rule, "{}")
        refs = [ResourceRef(ResourceKind.EC2, "us-east-1", f"i-{n}") for n in range(120)]
        other_kind = ResourceRef(ResourceKind.RDS, "us-east-1", "i-0")
        assert stores.rules.owners([*refs, *refs, other_kind]) == {refs[0]: "ru_0", refs[1]: "ru_1"}

    def test_nothing_is_skipped_or_repeated_when_something_goes_between_two_pages(self, stores):
        rules = {rule.id: stores.rules.create(rule, "{}") for rule in tcp_rules(5)}
        first = stores.rules.list(2).items[0].id
        found = ids_in_pages(lambda c: stores.rules.list(2, c), lambda: stores.rules.delete(rules[first]))
        assert sorted(found) == sorted(rules)
        for n in range(4):
            stores.keys.create(make_key(f"ak_{n}"))
            stores.balancers.create(make_balancer(f"lb_1{n}"))
        gone = stores.keys.list(1).items[0].id
        found = ids_in_pages(lambda c: stores.keys.list(1, c), lambda: stores.keys.delete(gone))
        assert sorted(found) == [f"ak_{n}" for n in range(4)]
        assert sorted(ids_in_pages(lambda c: stores.balancers.list(2, c))) == ["lb_1", *(f"lb_1{n}" for n in range(4))]

    def test_rules_that_are_looked_at_between_two_pages_hide_no_other_that_is_due(self, stores):
        rules = [stores.rules.create(rule, "{}") for rule in tcp_rules(5)]

        def look() -> None:
            for rule in rules[:2]:
                stores.status.record(rule, replace(rule.status, due_at=START + MINUTE))

        assert sorted(ids_in_pages(lambda c: stores.status.due(START, 2, c), look)) == [f"ru_{n}" for n in range(5)]

    @pytest.mark.parametrize(
        "cursor",
        [
            "",
            "-",
            "é",
            "m2",
            "nonsense",
            forged(id={"N": "1"}),
            forged(id={"S": ""}),
            forged(id={"S": "x" * 3000}),
            forged(id={"B": "eA=="}),
            forged(subject={"S": "ru_1"}, order={"S": "x"}),
            forged(subject={"N": "1"}, order={"S": "2026-01-05T08:00:00.000000+00:00#ev_1"}),
            forged(subject={"S": "ru_1"}, order={"S": "x"}, day={"S": "someday"}),
            forged(subject={"S": "ru_1"}, order={"S": "x"}, day={"N": "1"}),
            forged(subject={"S": "ru_1"}, order={"S": "2026-02-31T"}, day={"S": "2026-02-31"}),
            forged(subject={"S": "ru_1"}, order={"S": "2026-W02-1T"}, day={"S": "2026-W02-1"}),
        ],
    )
    def test_a_cursor_that_is_not_ours_is_refused(self, stores, cursor):
        for n in range(3):
            stores.keys.create(make_key(f"ak_{n}"))
        for fetch in (
            lambda: stores.rules.list(2, cursor),
            lambda: stores.balancers.list(2, cursor),
            lambda: stores.keys.list(2, cursor),
            lambda: stores.events.of_rule("ru_1", START, START + DAY, 2, cursor),
            lambda: stores.events.all(START, START + DAY, 2, cursor),
        ):
            with pytest.raises(InvalidInputError) as caught:
                fetch()
            assert [fault.field for fault in caught.value.faults] == ["cursor"]

    def test_a_cursor_of_another_list_is_refused(self, stores):
        stores.events.append([make_event(f"ev_{n}", "ru_1", START + n * SECOND) for n in range(3)])
        of_rule = stores.events.of_rule("ru_1", START, START + DAY, 1).next_cursor
        of_all = stores.events.all(START, START + DAY, 1).next_cursor
        for wrong in (
            lambda: stores.events.of_rule("ru_2", START, START + DAY, 1, of_rule),
            lambda: stores.events.of_rule("ru_1", START, START + DAY, 1, of_all),
            lambda: stores.events.all(START, START + DAY, 1, of_rule),
            lambda: stores.rules.list(1, of_rule),
        ):
            with pytest.raises(InvalidInputError):
                wrong()


class TestStatusAtOnce:
    def claim(self, id_: str = "at_1", until: datetime = START + MINUTE) -> Claim:
        return Claim(id_, Action.STOP, until)

    def test_a_claim_lives_until_its_lease_ends_and_not_a_microsecond_longer(self, stores, clock):
        rule = stores.rules.create(make_rule(), "{}")
        claimed = stores.status.claim(rule, self.claim(), rule.status)
        clock.advance(MINUTE - timedelta(microseconds=1))
        with pytest.raises(LostClaimError):
            stores.status.claim(claimed, self.claim("at_2"), claimed.status)
        clock.advance(timedelta(microseconds=1))
        taken = stores.status.claim(claimed, self.claim("at_2", START + 2 * MINUTE), claimed.status)
        assert taken.status.claim == self.claim("at_2", START + 2 * MINUTE)
        with pytest.raises(LostClaimError):
            stores.status.record(claimed, claimed.status)

    def test_who_claims_an_expired_claim_second_loses(self, stores, clock, meanwhile):
        rule = stores.rules.create(make_rule(), "{}")
        claimed = stores.status.claim(rule, self.claim(), rule.status)
        clock.advance(MINUTE)
        later = START + 2 * MINUTE
        with (
            meanwhile(lambda: stores.status.claim(claimed, self.claim("at_2", later), claimed.status)),
            pytest.raises(LostClaimError),
        ):
            stores.status.claim(claimed, self.claim("at_3", later), claimed.status)
        assert stores.rules.get("ru_1").status.claim.attempt_id == "at_2"

    @pytest.mark.parametrize("write", ["claim", "record", "set_override"])
    def test_a_wake_at_the_last_moment_wins(self, stores, meanwhile, write):
        rule = stores.rules.create(make_rule(), "{}")
        calls = {
            "claim": lambda: stores.status.claim(rule, self.claim(), rule.status),
            "record": lambda: stores.status.record(rule, replace(rule.status, state=RuleState.UP)),
            "set_override": lambda: stores.status.set_override(rule, None, START),
        }
        with (
            meanwhile(lambda: stores.status.wake("ru_1", START + SECOND, "traffic", START)),
            pytest.raises(LostClaimError),
        ):
            calls[write]()
        assert stores.rules.get("ru_1").status == replace(
            rule.status, woken_at=START + SECOND, woken_by="traffic", due_at=START + SECOND
        )

    def test_a_wake_or_an_override_during_a_claim_spoils_what_its_holder_records(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        claimed = stores.status.claim(rule, self.claim(), rule.status)
        woken = stores.status.wake("ru_1", START, "traffic", START)
        assert woken.status.claim == self.claim()
        with pytest.raises(LostClaimError):
            stores.status.record(claimed, claimed.status)
        override = Override(OverrideKind.WARM_UP, START + MINUTE, "ak_1")
        overridden = stores.status.set_override(woken, override, START)
        assert overridden.status == replace(woken.status, override=override, due_at=START)
        with pytest.raises(LostClaimError):
            stores.status.record(woken, woken.status)

    def test_a_wake_stays_whatever_status_is_stored(self, stores):
        stores.rules.create(make_rule(), "{}")
        woken = stores.status.wake("ru_1", START, "traffic", START)
        claimed = stores.status.claim(woken, self.claim(), RuleStatus(RuleState.DOWN))
        done = stores.status.record(claimed, RuleStatus(RuleState.UP))
        for rule in (claimed, done, stores.rules.get("ru_1")):
            assert (rule.status.woken_at, rule.status.woken_by) == (START, "traffic")
        assert done == stores.rules.get("ru_1")

    def test_wakes_in_any_order_never_move_the_last_one_back(self, stores):
        wakes = [START, START + 3 * SECOND, START + 20 * SECOND]
        for n, order in enumerate(itertools.permutations(wakes)):
            rule_id = stores.rules.create(tcp_rules(6)[n], "{}").id
            newest = order[0]
            for at in order:
                newest = max(newest, at)
                rule = stores.status.wake(rule_id, at, "traffic", at - 5 * SECOND)
                assert rule.status.woken_at <= newest
                assert rule.status.woken_at > newest - 5 * SECOND
            assert rule == stores.rules.get(rule_id)

    def test_a_wake_that_counts_moves_the_revision_once_and_makes_the_rule_due(self, stores):
        rule = stores.rules.create(make_rule(status=RuleStatus(due_at=START + MINUTE)), "{}")
        for n in range(20):
            at = START + n * timedelta(milliseconds=100)
            woken = stores.status.wake("ru_1", at, f"traffic {n}", at - 5 * SECOND)
        assert woken.revision == rule.revision + 1
        assert (woken.status.woken_at, woken.status.woken_by, woken.status.due_at) == (START, "traffic 0", START)
        later = START + 30 * SECOND
        again = stores.status.wake("ru_1", later, "more", later - 5 * SECOND)
        assert again.revision == rule.revision + 2
        assert (again.status.woken_at, again.status.woken_by, again.status.due_at) == (later, "more", later)

    def test_a_wake_at_exactly_the_limit_is_part_of_the_burst(self, stores):
        stores.rules.create(make_rule(), "{}")
        first = stores.status.wake("ru_1", START, "one", START)
        assert stores.status.wake("ru_1", START + 5 * SECOND, "two", START) == first
        assert stores.status.wake("ru_1", START + 6 * SECOND, "three", START + SECOND).status.woken_by == "three"

    def test_a_rule_that_has_gone(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        stores.rules.delete(rule)
        with pytest.raises(LostClaimError):
            stores.status.claim(rule, self.claim(), rule.status)
        with pytest.raises(LostClaimError):
            stores.status.record(rule, rule.status)
        with pytest.raises(NotFoundError):
            stores.status.set_override(rule, None, START)
        with pytest.raises(NotFoundError):
            stores.status.wake("ru_1", START, "traffic", START)
        stores.status.make_due(["ru_1"], START)
        assert stores.rules.list(10).items == ()
        assert stores.status.due(START + DAY, 10).items == ()

    def test_what_was_seen_is_stored_without_moving_the_revision(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        seen = (SeenResource("i-00000001", ResourceState.STOPPED, "10.0.0.1"),)
        after = stores.status.record(rule, replace(rule.status, seen=seen, due_at=START + MINUTE))
        assert after.revision == rule.revision
        assert stores.rules.get("ru_1") == after
        assert (after.status.seen, after.status.due_at) == (seen, START + MINUTE)

    def test_a_rule_that_waits_for_nothing_is_never_due_until_something_makes_it_so(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        resting = stores.status.record(rule, replace(rule.status, due_at=None))
        assert resting.status.due_at is None
        assert stores.status.due(START + 400 * DAY, 10).items == ()
        stores.status.make_due(["ru_1", "ru_1"], START + MINUTE)
        assert stores.status.due(START + MINUTE - SECOND, 10).items == ()
        (due,) = stores.status.due(START + MINUTE, 10).items
        assert (due.id, due.due_at) == ("ru_1", START + MINUTE)

    def test_making_due_takes_no_claim_away_from_who_decided_before(self, stores, meanwhile):
        rule = stores.rules.create(make_rule(status=RuleStatus(due_at=START + MINUTE)), "{}")
        stores.status.make_due([], START)
        with meanwhile(lambda: stores.status.make_due(["ru_1"], START)):
            claimed = stores.status.claim(rule, self.claim(), rule.status)
        assert stores.rules.get("ru_1") == claimed


class TestActivityInAnyOrder:
    def test_sources_are_kept_apart(self, stores):
        last = [LastActivity(source, START + n * SECOND) for n, source in enumerate(["proxy i-1", "a#b", "proxy i-2"])]
        for activity in last:
            stores.activity.seen("ru_1", activity)
        stores.activity.seen("ru_2", LastActivity("proxy i-1", START + MINUTE))
        facts = stores.activity.facts("ru_1")
        assert set(facts.last) == set(last)
        assert facts.health == ()
        assert stores.activity.facts("ru_none").last == ()

    def test_of_totals_every_figure_is_the_largest_in_any_order(self, stores):
        totals = [
            Total("ru_1", "2026-01-05T08:00", "proxy i-1", 5, 1, 9, 0, 70),
            Total("ru_1", "2026-01-05T08:00", "proxy i-1", 1, 7, 0, 3, 70),
            Total("ru_1", "2026-01-05T08:00", "proxy i-1", 2, 2, 2, 90, 2),
        ]
        for order in itertools.permutations(totals):
            stores.activity.add_totals(list(order))
            assert list(stores.activity.history("ru_1", START, START + MINUTE)) == [
                Total("ru_1", "2026-01-05T08:00", "proxy i-1", 5, 7, 9, 90, 70)
            ]

    def test_a_total_that_comes_twice_at_once_is_not_lost(self, stores, meanwhile):
        small, large = (Total("ru_1", "2026-01-05T08:00", "proxy i-1", requests=n, bytes_in=10 - n) for n in (1, 3))
        with meanwhile(lambda: stores.activity.add_totals([large])):
            stores.activity.add_totals([small])
        (stored,) = stores.activity.history("ru_1", START, START + MINUTE)
        assert (stored.requests, stored.bytes_in) == (3, 9)

    def test_history_is_oldest_first_by_minute_and_without_its_end(self, stores):
        minutes = ["2026-01-05T09:00", "2026-01-05T08:59", "2026-01-05T08:00", "2026-01-04T23:59"]
        totals = [Total("ru_1", minute, source, 1) for minute in minutes for source in ("b", "a")]
        stores.activity.add_totals([*totals, Total("ru_2", minutes[0], "a", 1)])
        stores.activity.add_totals([])

        def found(start: datetime, end: datetime) -> list[tuple[str, str]]:
            return [(total.minute, total.source) for total in stores.activity.history("ru_1", start, end)]

        expected = sorted((total.minute, total.source) for total in totals)
        assert found(START - DAY, START + DAY) == expected
        hour = START + 60 * MINUTE
        assert found(START, hour) == expected[2:6]
        assert found(START + 30 * SECOND, hour + SECOND) == expected[2:6], "its own minute, and none that only begins"
        assert found(START.astimezone(INDIA), hour.astimezone(INDIA)) == expected[2:6]
        assert found(hour, START) == found(START, START) == []

    def test_expired_totals_are_left_out_though_they_may_still_be_stored(self, stores, clock):
        stores.activity.add_totals([Total("ru_1", "2026-01-05T08:00", "proxy i-1", 1)])
        clock.advance(89 * DAY)
        assert len(stores.activity.history("ru_1", START - DAY, START + DAY)) == 1
        clock.advance(2 * DAY)
        assert list(stores.activity.history("ru_1", START - DAY, START + DAY)) == []

    def test_health_is_the_newest_of_each_member(self, stores):
        for health in (
            Health("m", True, START, 200),
            Health("n", True, START + SECOND),
            Health("m", False, START + SECOND),
            Health("m", True, START, 204),
        ):
            stores.activity.put_health("ru_1", health)
        facts = stores.activity.facts("ru_1")
        assert set(facts.health) == {Health("m", False, START + SECOND), Health("n", True, START + SECOND)}
        assert facts.last == ()
        assert stores.activity.facts("ru_2").health == ()

    def test_a_newer_use_or_report_that_comes_meanwhile_stays(self, stores, meanwhile):
        newer = LastActivity("proxy i-1", START + MINUTE)
        with meanwhile(lambda: stores.activity.seen("ru_1", newer)):
            stores.activity.seen("ru_1", LastActivity("proxy i-1", START))
        sick = Health("m", False, START + MINUTE, 503)
        with meanwhile(lambda: stores.activity.put_health("ru_1", sick)):
            stores.activity.put_health("ru_1", Health("m", True, START, 200))
        facts = stores.activity.facts("ru_1")
        assert (facts.last, facts.health) == ((newer,), (sick,))

    def test_pieces_are_counted_by_load_balancer_member_and_sequence(self, stores, meanwhile):
        count = stores.activity.count_stored
        with meanwhile(lambda: count("lb_1", "m", 1, frozenset("ab"))):
            assert count("lb_1", "m", 1, frozenset("bc")) == 3
        assert count("lb_1", "m", 1, frozenset("abc")) == 3
        assert count("lb_1", "m", 1, frozenset()) == 3
        assert count("lb_1", "n", 1, frozenset("a")) == 1
        assert count("lb_2", "m", 1, frozenset()) == 0


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


class TestEventsInAnyOrder:
    def ids(self, page: Page[Any]) -> list[str]:
        return [event.id for event in page.items]

    def test_many_at_once_and_none(self, stores):
        events = [make_event(f"ev_{n:03d}", "ru_1", START + n * SECOND) for n in range(60)]
        stores.events.append(events)
        stores.events.append([])
        newest_first = [event.id for event in reversed(events)]
        assert self.ids(stores.events.of_rule("ru_1", START, START + DAY, 100)) == newest_first
        assert ids_in_pages(lambda c: stores.events.of_rule("ru_1", START, START + DAY, 7, c)) == newest_first
        assert ids_in_pages(lambda c: stores.events.all(START, START + DAY, 7, c)) == newest_first

    def test_an_event_stored_twice_is_one_in_whatever_batch(self, stores):
        one, two = make_event("ev_1"), make_event("ev_2")
        stores.events.append([one, one, two])
        stores.events.append([two, one])
        assert sorted(self.ids(stores.events.all(START, START + DAY, 10))) == ["ev_1", "ev_2"]
        assert sorted(self.ids(stores.events.of_rule("ru_1", START, START + DAY, 10))) == ["ev_1", "ev_2"]

    def test_from_the_start_and_without_the_end(self, stores):
        start, end = START + 10 * SECOND, START + 20 * SECOND
        microsecond = timedelta(microseconds=1)
        times = {"before": start - microsecond, "first": start, "last": end - microsecond, "end": end}
        stores.events.append([make_event(f"ev_{name}", "ru_1", at) for name, at in times.items()])
        stores.events.append([make_event("ev_other", "ru_2", start)])
        for first, last in ((start, end), (start.astimezone(INDIA), end.astimezone(INDIA))):
            assert self.ids(stores.events.of_rule("ru_1", first, last, 10)) == ["ev_last", "ev_first"]
            assert self.ids(stores.events.all(first, last, 10)) == ["ev_last", "ev_other", "ev_first"]
        assert stores.events.of_rule("ru_1", end, start, 10).items == stores.events.all(end, start, 10).items == ()
        assert stores.events.of_rule("ru_1", start, start, 10).items == stores.events.all(start, start, 10).items == ()

    def test_expired_ones_are_left_out_though_they_may_still_be_stored(self, stores, clock):
        stores.events.append([make_event("ev_old"), make_event("ev_new", at=START + 5 * DAY)])
        clock.advance(91 * DAY)
        end = START + 400 * DAY
        assert self.ids(stores.events.of_rule("ru_1", START, end, 10)) == ["ev_new"]
        assert self.ids(stores.events.all(START, end, 10)) == ["ev_new"]

    @pytest.mark.parametrize("fetch", ["of_rule", "all"])
    def test_a_page_goes_on_where_the_last_one_ended_though_the_time_asked_for_moves_along(self, stores, fetch):
        stores.events.append([make_event(f"ev_{n}", "ru_1", START + n * SECOND) for n in range(6)])

        def read(start: int, end: int, cursor: str | None) -> Page[Any]:
            span = (START + start * SECOND, START + end * SECOND)
            if fetch == "all":
                return stores.events.all(*span, 2, cursor)
            return stores.events.of_rule("ru_1", *span, 2, cursor)

        first = read(0, 10, None)
        assert self.ids(first) == ["ev_5", "ev_4"]
        stores.events.append([make_event("ev_9", "ru_1", START + 9 * SECOND)])
        assert self.ids(read(1, 11, first.next_cursor)) == ["ev_3", "ev_2"]
        assert self.ids(read(5, 15, first.next_cursor)) == []
        assert self.ids(read(0, 3, first.next_cursor)) == ["ev_2", "ev_1"]
