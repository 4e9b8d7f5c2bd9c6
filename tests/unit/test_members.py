"""Several members behind one proxy id: the slowest live one decides, and EC2 alone says who is dead."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.domain.decisions import Reason
from chalicelib.domain.resources import Connector, ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.rules import RuleState
from chalicelib.domain.waits import DRAIN_GIVEN_UP
from tests.unit.world import BEAT, IDLE, World, up_world

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SILENT = BEAT * 3


def two() -> World:
    """Two members, both live, and the rule is up."""
    world = up_world()
    world.join("i-0000000b")
    world.pass_time(MINUTE)
    assert world.state is RuleState.UP
    return world


def member(id_: str) -> ResourceRef:
    return ResourceRef(ResourceKind.EC2, "us-east-1", id_)


def test_what_one_member_carries_keeps_the_rule_up_for_all():
    world = two()
    (other,) = world.others
    for _ in range(3):
        other.use()
        world.pass_time(IDLE - MINUTE)
    assert world.stops() == []
    world.pass_time(IDLE + MINUTE)
    assert world.state is RuleState.DOWN


def test_the_heartbeat_of_the_slowest_decides_when_a_rule_is_idle():
    world = two()
    (other,) = world.others
    other.late = []  # its heartbeats are under way and do not arrive
    world.pass_time(SILENT - BEAT)
    proofs = {source.name: source.span.end for source in world.stores.proxies.sources("lb_1")}
    assert proofs["i-proxy"] - proofs["i-0000000b"] >= BEAT
    world.pass_time(IDLE + MINUTE)
    assert world.stops() == []
    assert world.rule.status.reason is Reason.BLIND
    kept, other.late = other.late, None
    for lines in kept:
        other.ship(lines)
    world.pass_time(MINUTE)
    assert len(world.stops()) == 1


def test_a_stop_waits_until_every_member_diverts():
    world = two()
    (other,) = world.others
    poll = other.poll
    other.poll = lambda: None  # it lives and beats, on the configuration that it has
    world.pass_time(IDLE)
    while world.rule.status.drain is None:
        world.pass_time(SECOND * 5)
    world.pass_time(MINUTE)
    assert world.agent.diverts()
    assert world.stops() == []
    other.poll = poll
    world.pass_time(MINUTE)
    assert len(world.stops()) == 1


def test_a_stop_that_one_member_never_confirms_is_given_up_and_undone():
    world = two()
    (other,) = world.others
    other.poll = lambda: None
    world.pass_time(IDLE)
    while world.rule.status.drain is None:
        world.pass_time(SECOND * 5)
    world.pass_time(DRAIN_GIVEN_UP + SECOND * 10)
    assert world.stops() == []
    given_up = [event.at for event in world.history() if event.reason == Reason.DRAIN_UNCONFIRMED]
    assert len(given_up) == 1
    assert not other.diverts()
    assert world.rule.status.failures == 1  # the next attempt comes later, and later each time
    assert world.rule.status.retry_at > given_up[0]


@pytest.mark.parametrize("end", ["terminate", "stop_by_hand"])
def test_a_member_that_falls_silent_blocks_every_stop_until_ec2_says_that_it_is_gone(end):
    world = two()
    (other,) = world.others
    other.alive = False
    world.pass_time(IDLE * 2)
    assert world.stops() == []
    assert world.rule.status.reason is Reason.BLIND
    assert "i-0000000b" in (world.rule.status.detail or "")
    getattr(world.cloud, end)(member("i-0000000b"))
    world.pass_time(MINUTE * 3)
    assert len(world.stops()) == 1
    assert world.state is RuleState.DOWN


def test_a_member_that_dies_during_a_drain_holds_the_stop_until_it_is_gone():
    world = two()
    (other,) = world.others
    world.pass_time(IDLE - MINUTE)
    other.alive = False
    world.pass_time(MINUTE * 5)
    assert world.stops() == []
    world.cloud.terminate(member("i-0000000b"))
    world.pass_time(MINUTE * 3)
    assert len(world.stops()) == 1


def test_a_member_that_is_gone_and_comes_back_with_a_hole_counts_again():
    world = two()
    (other,) = world.others
    other.alive = False
    world.cloud.stop_by_hand(member("i-0000000b"))
    world.pass_time(MINUTE * 2)
    world.cloud.start_by_hand(member("i-0000000b"))
    world.pass_time(IDLE + MINUTE)
    assert world.cloud.instances[member("i-0000000b")].state is ResourceState.RUNNING
    assert world.stops() == []  # it runs, and we know nothing of what it carries
    other.alive = True
    other.through = world.clock.now() - SECOND
    other.beat(hole=True)
    world.pass_time(IDLE + MINUTE * 2)
    assert len(world.stops()) == 1


def test_ec2_is_asked_about_members_only_while_one_is_silent_and_once_for_all_rules_of_a_look():
    world = two()
    describe, asked = world.cloud.describe, []

    def counted(refs, **how):
        asked.append(sorted(ref.id for ref in refs))
        return describe(refs, **how)

    world.cloud.describe = counted
    rules = [world.rule]
    now = world.clock.now()
    world.observer.look(rules, now)
    assert asked == [["i-00000001"]]
    for name in ("i-0000000c", "i-0000000d"):
        world.join(name)
    world.pass_time(BEAT * 2)
    for agent in world.others:
        agent.alive = False
    world.cloud.terminate(member("i-0000000c"))
    world.pass_time(SILENT + BEAT)
    asked.clear()
    seen = world.observer.look(rules * 3, world.clock.now())
    assert sorted(asked) == [["i-00000001"], ["i-0000000b", "i-0000000c", "i-0000000d"]]
    assert {source.name for source in seen.of(world.rule)} == {"i-proxy", "i-0000000b", "i-0000000d"}


def test_a_member_that_is_no_instance_is_never_taken_for_dead():
    world = two()
    world.join("by-hand")
    world.pass_time(MINUTE)
    world.others[-1].alive = False
    world.cloud.terminate(member("by-hand"))
    world.pass_time(IDLE * 2)
    assert world.stops() == []
    assert world.rule.status.reason is Reason.BLIND


def test_a_connection_through_any_member_wakes_and_a_report_of_any_tells_that_the_rule_is_up():
    world = two()
    (other,) = world.others
    world.pass_time(IDLE + MINUTE)
    assert world.state is RuleState.DOWN
    world.agent.quiet = True  # its probes do not reach the target
    world.wake()
    world.pass_time(MINUTE)
    assert world.state is RuleState.UP
    assert other.etag == world.agent.etag


def test_a_rule_in_another_account_asks_about_members_in_the_account_and_region_of_the_proxy():
    elsewhere = Connector("arn:aws:iam::210987654321:role/autostop", "external")
    world = World(connector=elsewhere)
    world.cloud.add("i-00000001", connector=elsewhere)
    world.pass_time(BEAT * 2)
    world.agent.alive = False
    world.pass_time(SILENT + BEAT)
    describe, asked = world.cloud.describe, []

    def counted(refs, **how):
        asked.extend(refs)
        return describe(refs, **how)

    world.cloud.describe = counted
    world.observer.look([world.rule], world.clock.now())
    assert ResourceRef(ResourceKind.EC2, "us-east-1", "i-00000001", elsewhere) in asked
    assert ResourceRef(ResourceKind.EC2, "us-east-1", "i-proxy") in asked
