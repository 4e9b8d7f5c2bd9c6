"""What `ports.Memberships` promises, and what members mean for the rules that have them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.domain.errors import (
    AlreadyClaimedError,
    ConflictError,
    InvalidInputError,
    LostClaimError,
    TooLargeError,
    VersionMismatchError,
)
from chalicelib.domain.membership import NO_MEMBERS, LeftOut, Membership, TaggedRule
from chalicelib.domain.rules import DependsOn, Rule, RuleState
from tests.builders import make_balancer, make_rule, ssh_rule

STAGING = (("env", "staging"),)
MINUTE = timedelta(minutes=1)


def by_tags(id_="ru_1", **changes) -> Rule:
    return make_rule(id_, **({"tags": STAGING, "resource_ids": (), "load_balancer_id": None, "http": ()} | changes))


def ids(*numbers: int) -> tuple[str, ...]:
    return tuple(sorted(f"i-{n:08x}" for n in numbers))


def having(rule: Rule, *members: str, **changes) -> Rule:
    return replace(rule, membership=replace(rule.membership, ids=tuple(sorted(members)), **changes))


def filled(stores, rule: Rule, count: int) -> Rule:
    """The rule with so many members, that joined in pieces."""
    for start in range(0, count, 90):
        more = ids(*range(start, min(start + 90, count)))
        rule = stores.memberships.move(rule, having(rule, *rule.members, *more), None)
    return rule


def owners(stores, rule: Rule, *members: str) -> set[str]:
    return set(stores.rules.owners([rule.spec.ref(id_) for id_ in members]).values())


class TestTagged:
    def test_only_rules_with_tags_are_found_oldest_first_and_page_by_page(self, stores, clock):
        stores.rules.create(ssh_rule("ru_0"), "{}")
        made = []
        for n in range(5):
            clock.advance(MINUTE)
            rule = replace(by_tags(f"ru_{9 - n}"), created_at=clock.now())
            made.append(stores.rules.create(rule, None))
        first = stores.memberships.tagged(3)
        rest = stores.memberships.tagged(3, first.next_cursor)
        assert [*first.items, *rest.items] == [TaggedRule.of(rule) for rule in made]
        assert rest.next_cursor is None

    def test_a_cursor_of_another_list_is_refused(self, stores):
        for id_ in ("ru_1", "ru_2"):
            stores.rules.create(by_tags(id_), None)
        with pytest.raises(InvalidInputError):
            stores.memberships.tagged(1, stores.rules.list(1).next_cursor)

    def test_a_rule_is_found_when_it_gets_tags_and_until_its_last_member_has_left(self, stores):
        rule = stores.rules.create(by_tags(tags=(), resource_ids=("i-named",)), None)
        assert stores.memberships.tagged(9).items == ()
        rule = stores.rules.replace(rule, replace(rule, spec=replace(rule.spec, tags=STAGING)), None)
        rule = stores.memberships.move(rule, having(rule, "i-1"), None)
        assert [found.membership for found in stores.memberships.tagged(9).items] == [Membership(("i-1",))]
        rule = stores.rules.replace(rule, replace(rule, spec=replace(rule.spec, tags=())), None)
        assert [found.id for found in stores.memberships.tagged(9).items] == ["ru_1"]
        stores.memberships.move(rule, replace(rule, membership=NO_MEMBERS), None)
        assert stores.memberships.tagged(9).items == ()


class TestMove:
    def test_who_joins_is_claimed_and_who_leaves_is_free_again(self, stores):
        rule = stores.rules.create(by_tags(), None)
        rule = stores.memberships.move(rule, having(rule, "i-1", "i-2"), None)
        assert owners(stores, rule, "i-1") == owners(stores, rule, "i-2") == {"ru_1"}
        rule = stores.memberships.move(rule, having(rule, "i-2", "i-3"), None)
        assert owners(stores, rule, "i-1") == set()
        assert owners(stores, rule, "i-2", "i-3") == {"ru_1"}
        assert rule == stores.rules.get("ru_1")
        assert (rule.members, rule.version, rule.revision) == (("i-2", "i-3"), 1, 3)

    def test_what_was_left_out_and_what_could_not_be_read_is_kept(self, stores):
        rule = stores.rules.create(by_tags(), None)
        membership = Membership(("i-1",), (LeftOut("i-2", "is a proxy of AutoStop itself"),), "AccessDenied")
        stores.memberships.move(rule, replace(rule, membership=membership), None)
        assert stores.rules.get("ru_1").membership == membership
        assert stores.rules.get_many(["ru_1"])["ru_1"].membership == membership
        assert stores.rules.list(1).items[0].membership == membership

    def test_status_is_stored_and_the_rule_is_due_while_a_wake_stays(self, stores, clock):
        rule = stores.rules.create(by_tags(), None)
        rule = stores.status.wake("ru_1", clock.now() + MINUTE, "traffic", clock.now())
        status = replace(rule.status, up_since=clock.now(), due_at=clock.now(), woken_at=None, woken_by=None)
        moved = stores.memberships.move(rule, replace(having(rule, "i-1"), status=status), None)
        assert moved == stores.rules.get("ru_1")
        assert (moved.status.up_since, moved.status.woken_by) == (clock.now(), "traffic")
        assert [due.id for due in stores.status.due(clock.now(), 9).items] == ["ru_1"]

    def test_the_status_that_reconcile_records_leaves_the_members_alone(self, stores):
        rule = stores.rules.create(by_tags(), None)
        rule = stores.memberships.move(rule, having(rule, "i-1"), None)
        after = stores.status.record(rule, replace(rule.status, state=RuleState.UP))
        assert after.members == stores.rules.get("ru_1").members == ("i-1",)

    def test_its_proxy_gets_the_new_form(self, stores):
        rule = stores.rules.create(make_rule(tags=STAGING, resource_ids=()), '{"n":0}')
        before = stores.proxies.poll("lb_1").rules_version
        stores.memberships.move(rule, having(rule, "i-1"), '{"n":1}')
        assert stores.proxies.rules("lb_1") == ('{"n":1}',)
        assert stores.proxies.poll("lb_1").rules_version == before + 1

    def test_one_that_another_rule_names_does_not_join_and_nothing_is_written(self, stores):
        stores.rules.create(ssh_rule("ru_2", resource_ids=("i-2",)), "{}")
        rule = stores.rules.create(by_tags(), None)
        with pytest.raises(AlreadyClaimedError) as caught:
            stores.memberships.move(rule, having(rule, "i-1", "i-2"), None)
        assert caught.value.owners == {"instance i-2": "ru_2"}
        assert stores.rules.get("ru_1") == rule
        assert owners(stores, rule, "i-1") == set()

    def test_a_member_of_another_rule_does_not_join_and_cannot_be_named(self, stores):
        first = stores.rules.create(by_tags(), None)
        stores.memberships.move(first, having(first, "i-1"), None)
        second = stores.rules.create(by_tags("ru_2"), None)
        with pytest.raises(AlreadyClaimedError):
            stores.memberships.move(second, having(second, "i-1"), None)
        with pytest.raises(AlreadyClaimedError) as caught:
            stores.rules.create(ssh_rule("ru_3", resource_ids=("i-1",)), "{}")
        assert caught.value.owners == {"instance i-1": "ru_1"}

    def test_more_than_a_transaction_takes_is_refused(self, stores):
        rule = stores.rules.create(by_tags(), None)
        with pytest.raises(TooLargeError):
            stores.memberships.move(rule, having(rule, *ids(*range(91))), None)
        assert stores.memberships.move(rule, having(rule, *ids(*range(90))), None).members == ids(*range(90))

    def test_a_rule_that_is_gone_loses(self, stores):
        rule = stores.rules.create(by_tags(), None)
        stores.rules.delete(rule)
        with pytest.raises(LostClaimError):
            stores.memberships.move(rule, having(rule, "i-1"), None)
        assert owners(stores, rule, "i-1") == set()


class TestAtOnce:
    def test_of_two_moves_at_once_one_loses_and_no_claim_is_without_its_member(self, stores, meanwhile):
        rule = stores.rules.create(by_tags(), None)
        with (
            meanwhile(lambda: stores.memberships.move(rule, having(rule, "i-1"), None)),
            pytest.raises(LostClaimError),
        ):
            stores.memberships.move(rule, having(rule, "i-2"), None)
        assert stores.rules.get("ru_1").members == ("i-1",)
        assert owners(stores, rule, "i-2") == set()

    def test_two_rules_that_take_one_resource_at_once(self, stores, meanwhile):
        first, second = (stores.rules.create(by_tags(id_), None) for id_ in ("ru_1", "ru_2"))
        with (
            meanwhile(lambda: stores.memberships.move(first, having(first, "i-1"), None)),
            pytest.raises(AlreadyClaimedError),
        ):
            stores.memberships.move(second, having(second, "i-1"), None)
        assert owners(stores, first, "i-1") == {"ru_1"}
        assert stores.rules.get("ru_2").members == ()

    def test_a_stop_decided_before_a_resource_joined_is_not_claimed(self, stores):
        rule = stores.rules.create(by_tags(), None)
        stores.memberships.move(rule, having(rule, "i-1"), None)
        with pytest.raises(LostClaimError):
            stores.status.record(rule, replace(rule.status, state=RuleState.UP))

    def test_a_change_of_the_rule_while_a_resource_joins_is_refused(self, stores, meanwhile):
        rule = stores.rules.create(make_rule(tags=STAGING, resource_ids=()), "{}")
        renamed = replace(rule, spec=replace(rule.spec, name="new"))
        with (
            meanwhile(lambda: stores.memberships.move(rule, having(rule, "i-1"), '{"n":1}')),
            pytest.raises(ConflictError),
        ):
            stores.rules.replace(rule, renamed, '{"n":2}')
        assert stores.proxies.rules("lb_1") == ('{"n":1}',)

    def test_a_resource_that_joins_while_the_rule_is_deleted_keeps_no_claim(self, stores, meanwhile):
        rule = stores.rules.create(by_tags(), None)
        with meanwhile(lambda: stores.memberships.move(rule, having(rule, "i-1"), None)):
            stores.rules.delete(rule)
        assert stores.rules.get_many(["ru_1"]) == {}
        assert owners(stores, rule, "i-1") == set()

    def test_a_rule_with_many_members_is_deleted_although_somebody_writes_to_it_meanwhile(
        self, stores, meanwhile, clock
    ):
        rule = filled(stores, stores.rules.create(by_tags(), None), 200)
        with meanwhile(lambda: stores.status.wake("ru_1", clock.now() + MINUTE, "traffic", clock.now()), write=2):
            stores.rules.delete(rule)
        assert stores.rules.get_many(["ru_1"]) == {}
        assert owners(stores, rule, *ids(*range(200))) == set()


class TestReplaceAndDelete:
    def test_members_stay_with_new_tags_until_the_next_look(self, stores):
        rule = stores.rules.create(by_tags(), None)
        rule = stores.memberships.move(rule, having(rule, "i-1"), None)
        after = stores.rules.replace(rule, replace(rule, spec=replace(rule.spec, tags=(("env", "test"),))), None)
        assert after.members == ("i-1",)
        assert owners(stores, rule, "i-1") == {"ru_1"}

    def test_a_member_that_is_named_is_a_member_no_more_and_stays_claimed(self, stores):
        rule = stores.rules.create(by_tags(), None)
        rule = stores.memberships.move(rule, having(rule, "i-1", "i-2"), None)
        named = replace(rule, spec=replace(rule.spec, resource_ids=("i-1",)))
        after = stores.rules.replace(rule, named, None)
        assert (after.members, [ref.id for ref in after.refs]) == (("i-2",), ["i-1", "i-2"])
        assert owners(stores, rule, "i-1", "i-2") == {"ru_1"}
        after = stores.rules.replace(after, replace(after, spec=rule.spec), None)
        assert owners(stores, rule, "i-1") == set()

    def test_another_place_is_refused_while_there_are_members(self, stores):
        rule = stores.rules.create(by_tags(), None)
        rule = stores.memberships.move(rule, having(rule, "i-1"), None)
        elsewhere = replace(rule, spec=replace(rule.spec, region="eu-west-1"))
        with pytest.raises(ConflictError):
            stores.rules.replace(rule, elsewhere, None)
        rule = stores.memberships.move(rule, having(rule, left_out=(LeftOut("i-2", "is there"),)), None)
        assert stores.rules.replace(rule, elsewhere, None).membership == NO_MEMBERS

    @pytest.mark.parametrize("count", [1, 90, 500])
    def test_a_rule_with_members_is_deleted_with_every_claim(self, stores, count):
        rule = filled(stores, stores.rules.create(by_tags(resource_ids=("i-named",)), None), count)
        stores.rules.delete(rule)
        assert stores.rules.get_many(["ru_1"]) == {}
        assert owners(stores, rule, "i-named", *ids(*range(count))) == set()

    def test_a_rule_that_is_needed_keeps_its_members(self, stores):
        rule = filled(stores, stores.rules.create(by_tags(), None), 200)
        web = ssh_rule("ru_2", resource_ids=("i-web",), depends_on=(DependsOn("ru_1", MINUTE),))
        stores.rules.create(web, "{}", graph={"ru_1": 1})
        rule = stores.rules.get("ru_1")
        with pytest.raises(ConflictError):
            stores.rules.delete(rule)
        assert len(stores.rules.get("ru_1").members) == 200

    def test_an_old_version_deletes_nothing(self, stores):
        rule = filled(stores, stores.rules.create(by_tags(), None), 100)
        stores.rules.replace(rule, replace(rule, spec=replace(rule.spec, name="new")), None)
        with pytest.raises(VersionMismatchError):
            stores.rules.delete(rule)
        assert len(stores.rules.get("ru_1").members) == 100

    def test_what_is_named_and_not_its_members_counts_towards_the_most_a_rule_claims(self, stores):
        rule = filled(stores, stores.rules.create(by_tags(), None), 500)
        named = tuple(f"i-n{n}" for n in range(90))
        after = stores.rules.replace(rule, replace(rule, spec=replace(rule.spec, resource_ids=named)), None)
        assert len(after.refs) == 590

    def test_moving_to_another_proxy_takes_members_along(self, stores):
        stores.balancers.create(make_balancer("lb_2"))
        rule = stores.rules.create(make_rule(tags=STAGING, resource_ids=()), "{}")
        rule = stores.memberships.move(rule, having(rule, "i-1"), '{"n":1}')
        after = stores.rules.replace(rule, replace(rule, spec=replace(rule.spec, load_balancer_id="lb_2")), '{"n":2}')
        assert after.members == ("i-1",)
        assert (stores.proxies.rules("lb_1"), stores.proxies.rules("lb_2")) == ((), ('{"n":2}',))
