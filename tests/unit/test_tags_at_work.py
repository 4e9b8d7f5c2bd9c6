"""What members mean to the worker and to the proxy: nothing is stopped or started that should not be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.decisions import Reason
from chalicelib.domain.errors import CloudError
from chalicelib.domain.events import EventKind
from chalicelib.domain.rules import DependsOn, RuleState
from chalicelib.domain.schedules import ScheduleKind
from chalicelib.domain.usage import IntervalState
from tests.builders import make_schedule, make_spec
from tests.unit.tag_world import (
    RUNNING,
    STAGING,
    STOPPED,
    TAGS,
    spec_by_tags,
    tag_world,
)
from tests.unit.world import IDLE, World


class TestTheWorker:
    def test_a_rule_without_any_resource_is_down_and_no_failure(self):
        world, manage = tag_world()
        rule = manage.create(spec_by_tags(), "ak_1")
        world.work()
        status = world.stores.rules.get(rule.id).status
        assert (status.state, status.reason) == (RuleState.DOWN, Reason.NO_RESOURCES)
        assert (status.failures, status.retry_at) == (0, None)
        assert world.explain.run(rule.id).decision.words == "No resource has its tags now."

    def test_nobody_is_held_for_a_rule_without_any_resource_until_one_joins(self):
        world, manage = tag_world()
        manage.replace("ru_1", replace(world.rule.spec, resource_ids=(), tags=TAGS), "ak_1")
        world.work()
        (state,) = world.stores.proxies.states("lb_1", world.clock.now())
        assert '"startable": false, "reason": "no_resources"' in state
        assert world.rule.held_down(world.clock.now()).reason is Reason.NO_RESOURCES
        world.cloud.add("i-1", tags=STAGING)
        world.discover.run()
        world.work()
        assert world.stores.proxies.states("lb_1", world.clock.now()) == ()
        world.wake()
        world.pass_time(timedelta(minutes=1))
        assert len(world.starts()) == 1

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


class TestSavings:
    def test_a_member_counts_from_its_joining_to_its_leaving(self):
        world, manage = tag_world()
        rule = manage.create(spec_by_tags(), "ak_1")
        world.pass_time(timedelta(minutes=1))
        ref = world.cloud.add("i-1", tags=STAGING)
        world.discover.run()
        world.work()
        joined_at = world.clock.now()
        world.pass_time(timedelta(minutes=30))
        world.cloud.instances[ref].tags = {}
        world.discover.run()
        world.work()
        today = world.clock.now().date()
        (record,) = world.stores.usage.of_rule(rule.id, today, today)
        told = [(change.at, change.resource_id, change.state) for change in record.changes]
        assert told == [(joined_at, "i-1", IntervalState.DOWN), (world.clock.now(), "i-1", None)]
