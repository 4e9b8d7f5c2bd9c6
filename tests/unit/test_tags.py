"""Rules by tag, from the launch of an instance to its end, in a world with a cloud, a worker and a discovery."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.decisions import Reason
from chalicelib.domain.errors import CloudError, LostClaimError, ThrottledError
from chalicelib.domain.events import EventKind
from chalicelib.domain.membership import MAX_MEMBERS, LeftOut
from chalicelib.domain.resources import Connector, Place, Protection, ResourceState
from chalicelib.domain.rules import DependsOn, RuleState
from chalicelib.domain.schedules import ScheduleKind
from chalicelib.usecases.discover import CHECKS, Discover
from chalicelib.usecases.manage_rules import ManageRules
from tests.builders import make_rule, make_schedule, make_spec
from tests.unit.world import IDLE, World

STAGING = {"env": "staging"}
TAGS = (("env", "staging"),)
RUNNING, STOPPED = ResourceState.RUNNING, ResourceState.STOPPED
ROUND = timedelta(minutes=5)
THEIRS = Connector("arn:aws:iam::210987654321:role/autostop-access", "e1")
LEFT_STOPPED = "It is stopped as it leaves, and AutoStop will not start it any more."


def spec_by_tags(**changes: Any) -> Any:
    settings = {"tags": TAGS, "resource_ids": (), "load_balancer_id": None, "http": (), "idle": IDLE, "name": "staging"}
    return make_spec(**(settings | changes))


def tag_world(**changes: Any) -> tuple[World, ManageRules]:
    """Beside the world's own rule: whoever makes rules."""
    world = World()
    s = world.stores
    manage = ManageRules(
        s.rules,
        s.status,
        s.proxies,
        s.balancers,
        s.schedules,
        world.computes,
        s.events,
        world.queue,
        world.clock,
        world.ids,
        world.discover,
    )
    return world, manage


def told(world: World, rule_id: str, *kinds: EventKind) -> list[str]:
    """In the order in which it happened."""
    wanted = kinds or (EventKind.RESOURCE_JOINED, EventKind.RESOURCE_LEFT, EventKind.RESOURCE_LEFT_OUT)
    return [event.words for event in reversed(world.history(rule_id)) if event.kind in wanted]


def members(world: World, rule_id: str) -> tuple[str, ...]:
    rule = world.stores.rules.get(rule_id)
    owned = world.stores.rules.owners(list(rule.refs))
    assert set(owned) == set(rule.refs), "each of its resources is claimed"
    assert set(owned.values()) <= {rule_id}
    return rule.members


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
            world.clock.advance(ROUND)
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


class TestTheWorker:
    def test_a_rule_without_any_resource_is_down_and_no_failure(self):
        world, manage = tag_world()
        rule = manage.create(spec_by_tags(), "ak_1")
        world.work()
        status = world.stores.rules.get(rule.id).status
        assert (status.state, status.reason) == (RuleState.DOWN, Reason.NO_RESOURCES)
        assert (status.failures, status.retry_at) == (0, None)
        assert world.explain.run(rule.id).decision.words == "No resource has its tags now."

    def test_a_rule_whose_last_member_is_terminated_is_down_and_no_failure(self):
        world, manage = tag_world()
        ref = world.cloud.add("i-1", tags=STAGING, state=RUNNING)
        rule = manage.create(spec_by_tags(), "ak_1")
        world.work()
        world.cloud.terminate(ref)
        world.pass_time(timedelta(minutes=11))
        status = world.stores.rules.get(rule.id).status
        assert (status.state, status.reason) == (RuleState.DOWN, Reason.NO_RESOURCES)
        world.discover.run()
        about = [event for event in world.history(rule.id) if "i-1" in event.words and event.at > START]
        assert [(event.kind, event.words) for event in about] == [(EventKind.RESOURCE_LEFT, "i-1 left: it is gone.")]

    def test_a_disabled_rule_without_any_resource_is_down(self):
        world, manage = tag_world()
        rule = manage.create(spec_by_tags(enabled=False), "ak_1")
        world.work()
        assert world.stores.rules.get(rule.id).status.state is RuleState.DOWN

    def test_one_that_joins_running_while_the_rule_is_down_starts_no_other(self):
        world, manage = tag_world()
        world.cloud.add("i-1", tags=STAGING)
        rule = manage.create(spec_by_tags(load_balancer_id="lb_1", http=make_spec().http[:0]), "ak_1")
        world.pass_time(timedelta(minutes=1))
        assert world.stores.rules.get(rule.id).status.state is RuleState.DOWN
        world.cloud.add("i-2", tags=STAGING, state=RUNNING)
        world.discover.run()
        world.pass_time(timedelta(minutes=2))
        assert world.starts() == []
        assert world.stores.rules.get(rule.id).status.state is RuleState.UP

    def test_one_that_joins_running_has_the_whole_idle_time_before_it_is_stopped(self):
        world = World(tags=TAGS)
        world.pass_time(timedelta(seconds=10))
        world.wake()
        world.pass_time(timedelta(minutes=4))
        assert world.state is RuleState.UP
        ref = world.cloud.add("i-2", tags=STAGING, state=RUNNING, private_ip="10.0.0.2")
        world.discover.run()
        joined_at = world.clock.now()
        world.pass_time(timedelta(minutes=4))
        assert world.cloud.instances[ref].state is RUNNING
        world.pass_time(timedelta(minutes=4))
        assert world.cloud.instances[ref].state is STOPPED
        assert min(world.stops()) >= joined_at + IDLE

    def test_one_that_joins_during_the_diversion_before_a_stop_cancels_it(self):
        world = World(tags=TAGS)
        world.pass_time(timedelta(seconds=10))
        world.wake()
        while world.rule.status.drain is None:
            world.pass_time(timedelta(seconds=1), timedelta(seconds=1))
        world.cloud.add("i-2", tags=STAGING, state=RUNNING, private_ip="10.0.0.2")
        world.discover.run()
        world.pass_time(timedelta(minutes=1))
        assert (world.stops(), world.state) == ([], RuleState.UP)

    def test_one_that_joins_stopped_while_the_rule_is_in_use_is_started_like_the_others(self):
        world = World(tags=TAGS)
        world.pass_time(timedelta(seconds=10))
        world.wake()
        world.pass_time(timedelta(minutes=1))
        ref = world.cloud.add("i-2", tags=STAGING)
        world.discover.run()
        world.pass_time(timedelta(minutes=1))
        assert world.cloud.instances[ref].state is RUNNING

    def test_when_all_that_ran_has_left_nobody_is_said_to_have_stopped_the_rest_by_hand(self):
        world, manage = tag_world()
        first = world.cloud.add("i-1", tags=STAGING, state=RUNNING)
        rule = manage.create(spec_by_tags(), "ak_1")
        world.work()
        world.cloud.add("i-2", tags=STAGING)
        world.cloud.instances[first].tags = {}
        world.discover.run()
        world.work()
        assert world.stores.rules.get(rule.id).status.reason is not Reason.STOPPED_BY_HAND
        assert world.cloud.instances[first].state is RUNNING, "who left is left alone"

    def test_a_rule_made_in_its_downtime_stops_its_members_at_once(self):
        world, manage = tag_world()
        world.clock.advance(timedelta(hours=2))
        world.stores.schedules.create(make_schedule(kind=ScheduleKind.DOWNTIME, time_zone="UTC"))
        ref = world.cloud.add("i-1", tags=STAGING, state=RUNNING)
        manage.create(spec_by_tags(schedule_ids=("sc_1",)), "ak_1")
        world.pass_time(timedelta(minutes=2))
        assert world.cloud.instances[ref].state is STOPPED

    def test_one_launched_by_hand_in_the_downtime_of_a_rule_is_left_up_until_its_next_boundary(self):
        world, manage = tag_world()
        world.clock.advance(timedelta(hours=2))
        world.stores.schedules.create(make_schedule(kind=ScheduleKind.DOWNTIME, time_zone="UTC"))
        world.cloud.add("i-1", tags=STAGING)
        rule = manage.create(spec_by_tags(schedule_ids=("sc_1",)), "ak_1")
        world.pass_time(timedelta(minutes=2))
        ref = world.cloud.add("i-2", tags=STAGING, state=RUNNING)
        world.discover.run()
        world.pass_time(timedelta(minutes=10))
        assert world.stores.rules.get(rule.id).status.reason is Reason.STARTED_BY_HAND
        assert (world.cloud.instances[ref].state, world.starts()) == (RUNNING, [])

    def test_a_rule_that_needs_one_without_resources_waits_and_says_for_whom(self):
        world, manage = tag_world()
        empty = manage.create(spec_by_tags(), "ak_1")
        world.work()
        world.cloud.add("i-9")
        need = (DependsOn(empty.id, timedelta(0)),)
        rule = manage.create(spec_by_tags(tags=(), resource_ids=("i-9",), depends_on=need), "ak_1")
        world.overrides.warm_up(rule.id, minutes=5, by="ak_1", reason=None)
        world.pass_time(timedelta(minutes=1))
        status = world.stores.rules.get(rule.id).status
        assert (status.reason, world.starts()) == (Reason.AWAITING_DEPENDENCY, [])
        assert empty.id in status.detail

    def test_one_that_cannot_hibernate_joins_and_is_stopped_instead_and_that_is_said(self):
        world, manage = tag_world()
        ref = world.cloud.add("i-1", tags=STAGING, state=RUNNING)
        rule = manage.create(spec_by_tags(when_idle="hibernate"), "ak_1")
        assert rule.members == ("i-1",)
        world.overrides.cool_down(rule.id, minutes=5, force=True, propagate=False, by="ak_1", reason=None)
        world.pass_time(timedelta(minutes=1))
        assert world.cloud.instances[ref].state is STOPPED
        assert any("stopped instead of hibernated" in event.words for event in world.history(rule.id))


class TestTheProxy:
    def test_its_proxy_learns_the_addresses_of_who_joins_and_forgets_who_leaves(self):
        world = World(tags=TAGS)
        world.work()
        ref = world.cloud.add("i-2", tags=STAGING, private_ip="10.0.0.2")
        world.discover.run()
        assert '"targets":["10.0.0.1","10.0.0.2"]' in world.stores.proxies.rules("lb_1")[0]
        world.cloud.instances[ref].tags = {}
        world.discover.run()
        assert '"targets":["10.0.0.1"]' in world.stores.proxies.rules("lb_1")[0]

    def test_one_that_is_named_and_others_that_join_in_one_change_are_all_there(self):
        world, manage = tag_world()
        world.cloud.add("i-2", private_ip="10.0.0.2")
        world.cloud.add("i-3", tags=STAGING, private_ip="10.0.0.3")
        manage.replace("ru_1", replace(world.rule.spec, resource_ids=("i-2",), tags=TAGS), "ak_1")
        assert '"targets":["10.0.0.2","10.0.0.3"]' in world.stores.proxies.rules("lb_1")[0]

    def test_a_change_of_the_rule_keeps_the_addresses_of_its_members(self):
        world, manage = tag_world()
        world.cloud.add("i-2", tags=STAGING, private_ip="10.0.0.2")
        rule = world.rule
        manage.replace("ru_1", replace(rule.spec, tags=TAGS), "ak_1")
        world.work()
        world.cloud.fail_next["tagged"].append(CloudError("UnauthorizedOperation", "No"))
        manage.replace("ru_1", replace(rule.spec, tags=TAGS, name="new"), "ak_1")
        assert '"targets":["10.0.0.1","10.0.0.2"]' in world.stores.proxies.rules("lb_1")[0]


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


class TestWhatGoesWrong:
    def elsewhere(self) -> tuple[World, ManageRules, str, str]:
        """A rule here and one in another account, each with a member."""
        world, manage = tag_world()
        world.cloud.add("i-1", tags=STAGING)
        world.cloud.add("i-2", connector=THEIRS, tags=STAGING)
        theirs = manage.create(spec_by_tags(connector=THEIRS), "ak_1")
        ours = manage.create(spec_by_tags(), "ak_1")
        world.cloud.add("i-3", tags=STAGING)
        world.cloud.add("i-4", connector=THEIRS, tags=STAGING)
        return world, manage, theirs.id, ours.id

    def test_an_account_that_lets_us_in_no_more_keeps_no_other_from_its_turn_and_that_is_said_once(self):
        world, _, theirs, ours = self.elsewhere()
        refusal = CloudError("AccessDenied", "not authorized to perform sts:AssumeRole")
        tagged = world.cloud.tagged
        shut = True

        def look(place: Place, keys: Any) -> Any:
            if shut and place.connector == THEIRS:
                raise refusal
            return tagged(place, keys)

        world.cloud.tagged = look
        for _ in range(3):
            assert world.discover.run().unread == 1
        assert members(world, theirs) == ("i-2",), "unknown is not gone"
        assert members(world, ours) == ("i-1", "i-3")
        (words,) = told(world, theirs, EventKind.UNOBSERVABLE)
        assert "not authorized to perform sts:AssumeRole" in words
        assert told(world, ours, EventKind.UNOBSERVABLE) == []
        assert world.stores.rules.get(theirs).membership.unread
        shut = False
        world.discover.run()
        assert members(world, theirs) == ("i-2", "i-4")
        assert world.stores.rules.get(theirs).membership.unread is None

    def test_a_place_that_throttles_is_left_alone_for_a_while(self):
        world, _, theirs, ours = self.elsewhere()
        world.cloud.fail_next["tagged"].append(ThrottledError("RequestLimitExceeded", "Slow down"))
        assert world.discover.run().unread == 1
        both = {members(world, theirs), members(world, ours)}
        assert both in ({("i-2",), ("i-1", "i-3")}, {("i-2", "i-4"), ("i-1",)})
        world.cloud.calls.clear()
        world.discover.run()
        assert world.cloud.calls["tagged"] == 1, "the one that throttled waits"
        world.clock.advance(timedelta(minutes=10))
        world.discover.run()
        assert (members(world, theirs), members(world, ours)) == (("i-2", "i-4"), ("i-1", "i-3"))

    def test_a_failure_that_passes_is_not_said(self):
        world, _, theirs, ours = self.elsewhere()
        for _ in range(2):
            world.cloud.fail_next["tagged"].append(CloudError("InternalError", "An error", retryable=True))
        assert world.discover.run().unread == 2
        assert told(world, theirs, EventKind.UNOBSERVABLE) == told(world, ours, EventKind.UNOBSERVABLE) == []

    def test_a_defect_in_one_place_keeps_no_other_from_its_turn_and_is_counted_as_an_error(self):
        world, _, _theirs, ours = self.elsewhere()
        tagged = world.cloud.tagged

        def look(place: Place, keys: Any) -> Any:
            if place.connector == THEIRS:
                raise KeyError("a defect")
            return tagged(place, keys)

        world.cloud.tagged = look
        with pytest.raises(KeyError):
            world.discover.run()
        assert members(world, ours) == ("i-1", "i-3")

    def test_a_wake_while_somebody_joins_keeps_nobody_waiting(self):
        world, manage = tag_world()
        rule = manage.create(spec_by_tags(), "ak_1")
        world.cloud.add("i-1", tags=STAGING)
        move = world.stores.rules.move
        wakes = [1, 2]

        def overtaken(before: Any, after: Any, compact: Any) -> Any:
            if wakes:
                wakes.pop()
                now = world.clock.advance(timedelta(seconds=1)) or world.clock.now()
                world.stores.status.wake(rule.id, now, "traffic", now)
            return move(before, after, compact)

        world.stores.rules.move = overtaken
        world.discover.run()
        assert members(world, rule.id) == ("i-1",)
        assert world.stores.rules.get(rule.id).status.woken_at == world.clock.now()

    def test_a_rule_that_people_change_meanwhile_is_left_to_the_next_look(self):
        world, manage = tag_world()
        rule = manage.create(spec_by_tags(), "ak_1")
        world.cloud.add("i-1", tags=STAGING)
        move = world.stores.rules.move

        def overtaken(before: Any, after: Any, compact: Any) -> Any:
            world.stores.rules.move = move
            world.change(rule.id, tags=(("env", "test"),))
            return move(before, after, compact)

        world.stores.rules.move = overtaken
        world.discover.run()
        assert members(world, rule.id) == ()
        assert told(world, rule.id) == []

    def test_a_rule_whose_stop_is_under_way_while_somebody_joins_gives_who_joined_its_time(self):
        world = World(tags=TAGS)
        world.pass_time(timedelta(seconds=10))
        world.wake()
        stop = world.cloud.stop
        joined: list[Any] = []

        def joining(refs: Any, **how: Any) -> Any:
            if not joined:
                joined.append(world.cloud.add("i-2", tags=STAGING, state=RUNNING, private_ip="10.0.0.2"))
                world.discover.run()
            return stop(refs, **how)

        world.cloud.stop = joining
        while not joined:
            world.pass_time(timedelta(seconds=5))
        at = world.clock.now()
        world.pass_time(timedelta(minutes=4))
        assert world.cloud.instances[joined[0]].state is RUNNING
        world.pass_time(timedelta(minutes=6))
        assert world.cloud.instances[joined[0]].state is STOPPED
        assert max(world.stops()) >= at + IDLE


def test_of_two_discoveries_at_once_each_tells_only_what_it_has_stored():
    world, manage = tag_world()
    rule = manage.create(spec_by_tags(), "ak_1")
    world.cloud.add("i-1", tags=STAGING)
    s = world.stores
    other = Discover(s.rules, s.memberships, world.computes, s.events, s.back_offs, world.queue, world.clock, world.ids)
    move = s.rules.move

    def both(before: Any, after: Any, compact: Any) -> Any:
        s.rules.move = move
        other.run()
        return move(before, after, compact)

    s.rules.move = both
    world.discover.run()
    assert members(world, rule.id) == ("i-1",)
    assert told(world, rule.id) == ["i-1 joined: it has the tags env=staging."]


def test_a_rule_that_is_gone_when_its_members_are_to_leave_is_passed_over():
    world, manage = tag_world()
    rule = manage.create(spec_by_tags(), "ak_1")
    world.cloud.add("i-1", tags=STAGING)
    s, move = world.stores, world.stores.rules.move

    def gone(before: Any, after: Any, compact: Any) -> Any:
        s.rules.move = move
        s.rules.delete(before)
        return move(before, after, compact)

    s.rules.move = gone
    assert world.discover.run().changed == 0
    with pytest.raises(LostClaimError):
        move(rule, rule, None)


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
