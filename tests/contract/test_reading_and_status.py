"""Lists and statuses when things happen at once, late or twice.

`with meanwhile(do): call()` is somebody else who gets in between what the call reads and what it writes.
"""

from __future__ import annotations

import base64
import itertools
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.decisions import Action
from chalicelib.domain.errors import (
    InvalidInputError,
    LostClaimError,
    NotFoundError,
)
from chalicelib.domain.resources import ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.rules import Claim, Override, OverrideKind, RuleState, RuleStatus, SeenResource
from tests.builders import make_balancer, make_event, make_key, make_rule, ssh_rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.domain.rules import Rule
    from chalicelib.ports import Page

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def tcp_rules(count: int, **changes: Any) -> list[Rule]:
    return [ssh_rule(f"ru_{n}", 20000 + n, resource_ids=(f"i-{n}",), **changes) for n in range(count)]


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
        looked = replace(rule.status, seen=seen, observed_at=START, due_at=START + MINUTE)
        after = stores.status.record(rule, looked)
        assert after.revision == rule.revision
        assert stores.rules.get("ru_1") == after
        assert after.status == looked

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
