"""Rules by tag: who joins, who leaves, who is left out, and what people change."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from chalicelib.domain.errors import CloudError
from chalicelib.domain.events import EventKind
from chalicelib.domain.membership import MAX_MEMBERS, LeftOut
from chalicelib.domain.resources import Protection
from chalicelib.domain.rules import RuleState
from chalicelib.usecases.discover import CHECKS
from tests.builders import make_rule
from tests.unit.tag_world import (
    LEFT_STOPPED,
    RUNNING,
    STAGING,
    members,
    spec_by_tags,
    tag_world,
    told,
)


class TestJoiningAndLeaving:
    def test_a_rule_has_its_members_as_soon_as_it_is_made(self):
        world, manage = tag_world()
        world.cloud.add("i-1", tags=STAGING | {"Name": "web"}, state=RUNNING)
        world.cloud.add("i-2", tags={"env": "prod"}, state=RUNNING)
        rule = manage.create(spec_by_tags(), "ak_1")
        assert (rule.members, rule.status.state) == (("i-1",), RuleState.UP)
        assert told(world, rule.id) == ["i-1 (web) joined: it has the tags env=staging."]
        (event,) = [e for e in world.history(rule.id) if e.kind is EventKind.RESOURCE_JOINED]
        assert event.actor == "autostop"
        world.work()
        assert [seen.id for seen in world.stores.rules.get(rule.id).status.seen] == ["i-1"]

    def test_who_gets_the_tags_joins_and_who_loses_them_or_is_gone_leaves_each_told_once(self):
        world, manage = tag_world()
        first = world.cloud.add("i-1", tags=STAGING)
        second = world.cloud.add("i-2")
        third = world.cloud.add("i-3", tags=STAGING)
        rule = manage.create(spec_by_tags(), "ak_1")
        assert rule.members == ("i-1", "i-3")
        world.cloud.instances[second].tags = dict(STAGING)
        world.cloud.instances[first].tags = {}
        world.cloud.terminate(third)
        for _ in range(3):
            world.clock.advance(timedelta(minutes=5))
            world.discover.run()
        assert members(world, rule.id) == ("i-2",)
        assert told(world, rule.id)[2:] == [
            f"i-1 left: its tags no longer match. {LEFT_STOPPED}",
            "i-3 left: it is gone.",
            "i-2 joined: it has the tags env=staging.",
        ]
        assert world.stores.rules.owners([first, third]) == {}

    def test_a_change_of_members_makes_the_rule_due_and_asks_the_worker(self):
        world, manage = tag_world()
        rule = manage.create(spec_by_tags(), "ak_1")
        world.work()
        world.cloud.add("i-1", tags=STAGING, state=RUNNING)
        world.clock.advance(timedelta(seconds=1))
        world.discover.run()
        after = world.stores.rules.get(rule.id)
        assert after.status.due_at == world.clock.now()
        world.work()
        assert [(seen.id, seen.state) for seen in world.stores.rules.get(rule.id).status.seen] == [("i-1", RUNNING)]

    def test_a_look_that_finds_all_as_it_was_writes_and_tells_nothing(self):
        world, manage = tag_world()
        world.cloud.add("i-1", tags=STAGING)
        world.cloud.add("i-2", tags=STAGING, protections=(Protection.AUTO_SCALING,))
        rule = manage.create(spec_by_tags(), "ak_1")
        before, events = world.stores.rules.get(rule.id), len(world.history(rule.id))
        world.cloud.calls.clear()
        report = world.discover.run()
        assert (report.rules, report.places, report.changed, report.unread) == (1, 1, 0, 0)
        assert world.stores.rules.get(rule.id) == before
        assert len(world.history(rule.id)) == events
        assert world.cloud.calls == Counter(tagged=1)

    def test_named_and_tagged_are_together_and_one_that_is_both_is_named(self):
        world, manage = tag_world()
        for n in (1, 2):
            world.cloud.add(f"i-{n}", tags=STAGING)
        rule = manage.create(spec_by_tags(resource_ids=("i-1",)), "ak_1")
        assert (rule.members, [ref.id for ref in rule.refs]) == (("i-2",), ["i-1", "i-2"])

    def test_five_hundred_members_join_in_pieces_and_one_more_is_left_out(self):
        world, manage = tag_world()
        for n in range(MAX_MEMBERS + 1):
            world.cloud.add(f"i-{n:04}", tags=STAGING)
        rule = manage.create(spec_by_tags(), "ak_1")
        assert len(rule.members) == 100, "while a person waits"
        world.discover.run()
        assert len(members(world, rule.id)) == MAX_MEMBERS
        world.discover.run()
        assert [out.id for out in world.stores.rules.get(rule.id).membership.left_out] == ["i-0500"]
        joined = told(world, rule.id, EventKind.RESOURCE_JOINED)
        assert len(joined) == len(set(joined)) == MAX_MEMBERS
        deleted = manage.delete(rule.id, "ak_1", start=True)
        assert len(deleted.started) == MAX_MEMBERS
        assert world.stores.rules.owners([rule.spec.ref(f"i-{n:04}") for n in range(MAX_MEMBERS)]) == {}


class TestOwnership:
    def test_one_that_another_rule_has_is_left_out_once_and_joins_when_that_rule_goes(self):
        world, manage = tag_world()
        world.cloud.instances[world.ref].tags = dict(STAGING)
        rule = manage.create(spec_by_tags(), "ak_1")
        for _ in range(2):
            world.discover.run()
        assert rule.members == ()
        assert rule.membership.left_out == (LeftOut("i-00000001", "belongs to rule ru_1"),)
        assert told(world, rule.id) == ["i-00000001 has the tags env=staging and is left out: it belongs to rule ru_1."]
        manage.delete("ru_1", "ak_1", start=False)
        world.discover.run()
        assert members(world, rule.id) == ("i-00000001",)
        assert world.stores.rules.get(rule.id).membership.left_out == ()

    def test_of_two_rules_the_older_has_it_and_a_member_stays_where_it_is(self):
        world, manage = tag_world()
        first = manage.create(spec_by_tags(), "ak_1")
        world.clock.advance(timedelta(seconds=1))
        second = manage.create(spec_by_tags(name="other"), "ak_1")
        ref = world.cloud.add("i-1", tags=STAGING)
        world.discover.run()
        assert members(world, first.id) == ("i-1",)
        assert world.stores.rules.get(second.id).membership.left_out[0].why == f"belongs to rule {first.id}"
        world.cloud.instances[ref].tags = {"team": "web"}
        manage.replace(first.id, spec_by_tags(tags=(("team", "api"),)), "ak_1")
        manage.replace(second.id, spec_by_tags(tags=(("team", "web"),)), "ak_1")
        assert members(world, second.id) == ("i-1",)
        manage.replace(first.id, spec_by_tags(tags=(("team", "web"),)), "ak_1")
        world.discover.run()
        assert (members(world, first.id), members(world, second.id)) == ((), ("i-1",))

    def test_who_changes_tags_from_one_rule_to_another_moves_in_one_look(self):
        world, manage = tag_world()
        ref = world.cloud.add("i-1", tags=STAGING)
        other = manage.create(spec_by_tags(tags=(("env", "test"),)), "ak_1")
        rule = manage.create(spec_by_tags(), "ak_1")
        world.cloud.instances[ref].tags = {"env": "test"}
        world.discover.run()
        assert (members(world, rule.id), members(world, other.id)) == ((), ("i-1",))
        assert told(world, other.id) == ["i-1 joined: it has the tags env=test."]


class TestProtections:
    @pytest.mark.parametrize(
        "protection",
        [
            Protection.AUTO_SCALING,
            Protection.SPOT,
            Protection.INSTANCE_STORE_ROOT,
            Protection.STOP_PROTECTION,
            Protection.PROXY,
            Protection.DATA_LOSS,
        ],
    )
    def test_what_must_never_be_stopped_is_left_out_once_and_joins_when_that_ends(self, protection):
        world, manage = tag_world()
        ref = world.cloud.add("i-1", tags=STAGING, protections=(protection,), state=RUNNING)
        rule = manage.create(spec_by_tags(), "ak_1")
        for _ in range(3):
            world.discover.run()
        assert members(world, rule.id) == ()
        assert told(world, rule.id) == [f"i-1 has the tags env=staging and is left out: it {protection.words}."]
        world.cloud.instances[ref].protections = ()
        world.discover.run()
        assert members(world, rule.id) == ("i-1",)

    def test_what_loses_its_data_joins_a_rule_that_accepts_it(self):
        world, manage = tag_world()
        world.cloud.add("i-1", tags=STAGING, protections=(Protection.DATA_LOSS,))
        assert manage.create(spec_by_tags(accept_data_loss=True), "ak_1").members == ("i-1",)

    def test_a_member_that_gets_into_a_scaling_group_leaves_and_is_told_of_once(self):
        world, manage = tag_world()
        ref = world.cloud.add("i-1", tags=STAGING)
        rule = manage.create(spec_by_tags(), "ak_1")
        world.cloud.instances[ref].protections = (Protection.AUTO_SCALING,)
        for _ in range(2):
            world.discover.run()
        assert members(world, rule.id) == ()
        assert told(world, rule.id)[1:] == [
            f"i-1 left: it {Protection.AUTO_SCALING.words}. {LEFT_STOPPED}",
        ]
        assert [out.id for out in world.stores.rules.get(rule.id).membership.left_out] == ["i-1"]

    def test_only_who_would_join_is_asked_for_its_stop_protection(self):
        world, manage = tag_world()
        for n in range(3):
            world.cloud.add(f"i-{n}", tags=STAGING)
        world.cloud.add("i-asg", tags=STAGING, protections=(Protection.AUTO_SCALING,))
        manage.create(spec_by_tags(), "ak_1")
        assert world.cloud.calls["protections"] == 3
        world.discover.run()
        assert world.cloud.calls["protections"] == 3

    def test_those_that_were_left_out_are_checked_again_in_turns_after_the_new_ones(self):
        world, manage = tag_world()
        guarded = [
            world.cloud.add(f"i-a{n:04}", tags=STAGING, protections=(Protection.STOP_PROTECTION,)) for n in range(90)
        ]
        rule = manage.create(spec_by_tags(), "ak_1")
        assert len(rule.membership.left_out) == 90
        for ref in guarded:
            world.cloud.instances[ref].protections = ()
        new = [world.cloud.add(f"i-z{n:04}", tags=STAGING) for n in range(CHECKS - 50)]
        world.discover.run()
        joined = members(world, rule.id)
        assert {ref.id for ref in new} <= set(joined)
        assert len(joined) == CHECKS


class TestChanges:
    def test_a_rule_without_its_tags_has_no_members_and_is_not_looked_for_any_more(self):
        world, manage = tag_world()
        for n in range(200):
            world.cloud.add(f"i-{n:04}", tags=STAGING)
        rule = manage.create(spec_by_tags(), "ak_1")
        world.discover.run()
        assert len(members(world, rule.id)) == 200
        after = manage.replace(rule.id, spec_by_tags(tags=(), resource_ids=("i-0007",)), "ak_1")
        assert (after.members, [ref.id for ref in after.refs]) == ((), ["i-0007"])
        assert world.stores.rules.owners(list(world.cloud.instances)) == {
            world.ref: "ru_1",
            after.refs[0]: rule.id,
        }
        assert "i-0008 left: the rule has no tags any more. It is stopped" in " ".join(told(world, rule.id))
        assert world.discover.run().rules == 0

    def test_the_schedule_takes_over_where_the_look_at_once_fails(self):
        world, manage = tag_world()
        world.cloud.add("i-1", tags=STAGING)
        world.cloud.fail_next["tagged"].append(CloudError("UnauthorizedOperation", "No"))
        rule = manage.create(spec_by_tags(), "ak_1")
        assert rule.members == ()
        world.discover.run()
        assert members(world, rule.id) == ("i-1",)

    def test_a_rule_that_moves_to_another_region_leaves_its_members_behind_and_finds_new_ones(self):
        world, manage = tag_world()
        here = world.cloud.add("i-1", tags=STAGING)
        world.cloud.add("i-2", "eu-west-1", tags=STAGING)
        rule = manage.create(spec_by_tags(), "ak_1")
        after = manage.replace(rule.id, spec_by_tags(region="eu-west-1"), "ak_1")
        assert (after.members, after.version) == (("i-2",), 2)
        assert world.stores.rules.owners([here]) == {}

    def test_members_come_back_where_the_move_to_another_region_is_refused(self):
        world, manage = tag_world()
        world.cloud.add("i-1", tags=STAGING)
        rule = manage.create(spec_by_tags(), "ak_1")
        taken = world.cloud.add("i-9", "eu-west-1")
        manage.create(spec_by_tags(tags=(), resource_ids=("i-9",), region="eu-west-1"), "ak_1")
        with pytest.raises(Exception, match="belongs to rule"):
            manage.replace(rule.id, spec_by_tags(region="eu-west-1", resource_ids=(taken.id,)), "ak_1")
        assert members(world, rule.id) == ("i-1",)

    def test_deleting_starts_what_its_tags_brought_in(self):
        world, manage = tag_world()
        ref = world.cloud.add("i-1", tags=STAGING)
        rule = manage.create(spec_by_tags(), "ak_1")
        assert [o.ref for o in manage.delete(rule.id, "ak_1", start=True).started] == [ref]
        assert world.stores.rules.owners([ref]) == {}


def test_rules_of_one_place_are_found_with_one_call():
    world, _ = tag_world()
    for n in range(5):
        rule = make_rule(f"ru_t{n}", tags=(("team", str(n)),), resource_ids=(), load_balancer_id=None, http=())
        world.stores.rules.create(rule, None)
        world.cloud.add(f"i-{n}", tags={"team": str(n)})
    report = world.discover.run()
    assert (report.rules, report.places, report.changed) == (5, 1, 5)
    assert world.cloud.calls["tagged"] == 1
    assert [members(world, f"ru_t{n}") for n in range(5)] == [(f"i-{n}",) for n in range(5)]
