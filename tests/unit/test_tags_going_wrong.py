"""Discovery when AWS refuses, and when others write at the same time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.domain.errors import CloudError, LostClaimError, ThrottledError
from chalicelib.domain.events import EventKind
from chalicelib.domain.routes import HttpRoute
from tests.unit.tag_world import (
    RUNNING,
    STAGING,
    STOPPED,
    TAGS,
    THEIRS,
    members,
    spec_by_tags,
    tag_world,
    told,
)
from tests.unit.world import IDLE, World

if TYPE_CHECKING:
    from chalicelib.domain.resources import Place
    from chalicelib.usecases.manage_rules import ManageRules


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
    other = replace(world.discover)
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


def test_a_load_balancer_hears_at_once_of_who_joins_and_a_queue_that_is_gone_keeps_nobody_from_joining():
    world, manage = tag_world()
    http = (HttpRoute(("tags.example.com",), target_port=80),)
    rule = manage.create(spec_by_tags(load_balancer_id="lb_1", http=http), "ak_1")
    world.provisioning.messages.clear()
    world.cloud.add("i-1", tags=STAGING)
    world.discover.run()
    assert [(id_, at_once) for _, id_, at_once in world.provisioning.messages] == [("lb_1", True)]
    world.cloud.add("i-2", tags=STAGING)
    world.provisioning.fail_next.append(CloudError("ServiceUnavailable", "gone", retryable=True))
    world.discover.run()
    assert members(world, rule.id) == ("i-1", "i-2")
