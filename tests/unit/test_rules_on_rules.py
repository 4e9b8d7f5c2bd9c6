"""Dependencies carried out: `ru_1`, a site behind the proxy, needs `ru_db`, which has no traffic source of its own."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.decide import decide
from chalicelib.domain.decisions import Action, Reason
from chalicelib.domain.errors import ConflictError, InvalidInputError
from chalicelib.domain.facts import Facts
from chalicelib.domain.neighbours import Neighbour
from chalicelib.domain.resources import ObservedResource, ResourceState
from chalicelib.domain.rules import DependsOn, RuleState, RuleStatus
from chalicelib.usecases.dependencies import graph_below
from tests.builders import make_rule
from tests.unit.world import IDLE, World

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
NEEDS_DB = (DependsOn("ru_db", timedelta(0)),)


def world_with_db(delay: timedelta = timedelta(0)) -> World:
    world = World()
    world.db = world.add_rule("ru_db", "i-000000db")
    world.change("ru_1", depends_on=(DependsOn("ru_db", delay),))
    world.pass_time(10 * SECOND)
    return world


def state(world: World, id_: str) -> RuleState:
    return world.stores.rules.get(id_).status.state


def journal(world: World) -> list[tuple[str, str]]:
    return [(what, id_) for _, what, id_ in world.cloud.journal]


def test_a_wake_starts_what_the_rule_needs_first_and_waits_for_its_health_and_the_delay():
    world = world_with_db(delay=30 * SECOND)
    world.wake()
    world.work()
    assert journal(world) == [("start", "i-000000db")]
    assert world.rule.status.reason is Reason.AWAITING_DEPENDENCY
    world.pass_time(5 * MINUTE, step=SECOND)
    assert journal(world) == [("start", "i-000000db"), ("start", "i-00000001")]
    (db_started, _, _), (started, _, _) = world.cloud.journal
    assert started - db_started >= world.instance.boot + 10 * SECOND + 30 * SECOND  # boot, status checks, delay
    assert (state(world, "ru_db"), state(world, "ru_1")) == (RuleState.UP, RuleState.UP)


def test_two_that_need_the_same_and_not_each_other_start_together():
    world = world_with_db()
    world.add_rule("ru_api", "i-0000000a", depends_on=NEEDS_DB)
    world.pass_time(10 * SECOND)
    world.overrides.warm_up("ru_api", minutes=30, by="ak_1", reason=None)
    world.wake()
    world.pass_time(3 * MINUTE, step=SECOND)
    assert journal(world)[0] == ("start", "i-000000db")
    starts = {id_: at for at, what, id_ in world.cloud.journal if what == "start"}
    assert abs(starts["i-00000001"] - starts["i-0000000a"]) <= 5 * SECOND


def test_what_is_needed_stays_up_and_stops_after_who_needs_it():
    world = world_with_db()
    world.wake()
    for _ in range(20):
        world.agent.use()
        world.pass_time(MINUTE)
    assert (state(world, "ru_db"), state(world, "ru_1")) == (RuleState.UP, RuleState.UP)
    assert world.stores.rules.get("ru_db").status.reason is Reason.NEEDED
    world.pass_time(3 * IDLE)
    assert journal(world)[2:] == [("stop", "i-00000001"), ("stop", "i-000000db")]
    assert (state(world, "ru_db"), state(world, "ru_1")) == (RuleState.DOWN, RuleState.DOWN)


def test_who_needs_a_failed_rule_waits_and_says_why():
    world = world_with_db()
    world.cloud.instances[world.db].refuse_start.extend([("InsufficientInstanceCapacity", "None left")] * 2)
    world.wake()
    world.pass_time(20 * SECOND)
    assert world.rule.status.reason is Reason.AWAITING_DEPENDENCY
    assert "InsufficientInstanceCapacity: None left" in (world.rule.status.detail or "")
    world.pass_time(4 * MINUTE)
    assert world.state is RuleState.UP


def test_what_others_need_is_not_cooled_down_alone_and_with_propagate_they_go_first():
    world = world_with_db()
    world.wake()
    world.pass_time(3 * MINUTE)
    order = {"minutes": 30, "force": True, "by": "ak_1", "reason": None}
    with pytest.raises(ConflictError, match=r"Needed by site \(ru_1\)"):
        world.overrides.cool_down("ru_db", propagate=False, **order)
    taken = world.overrides.cool_down("ru_db", propagate=True, **order)
    assert [rule.id for rule in taken] == ["ru_db", "ru_1"]
    world.pass_time(5 * MINUTE)
    stops = {id_: at for at, what, id_ in world.cloud.journal if what == "stop"}
    assert stops["i-000000db"] >= stops["i-00000001"] + world.instance.halt
    assert (state(world, "ru_db"), state(world, "ru_1")) == (RuleState.DOWN, RuleState.DOWN)


def test_what_needs_a_rule_that_is_kept_down_may_not_start_and_says_so():
    world = world_with_db()
    world.overrides.cool_down("ru_db", minutes=30, force=False, propagate=False, by="ak_1", reason="migration")
    world.pass_time(11 * MINUTE)
    world.wake()
    world.pass_time(2 * MINUTE)
    held = world.rule.held_down(world.clock.now())
    assert held is not None
    assert held.reason is Reason.AWAITING_DEPENDENCY
    assert "Kept down by a cool-down" in held.words
    assert journal(world) == []


def test_a_cycle_is_refused_with_its_path():
    world = world_with_db()
    world.add_rule("ru_queue", "i-0000000c", depends_on=(DependsOn("ru_1", timedelta(0)),))
    with pytest.raises(InvalidInputError, match="makes a cycle: ru_db → ru_queue → ru_1 → ru_db"):
        world.change("ru_db", depends_on=(DependsOn("ru_queue", timedelta(0)),))
    with pytest.raises(InvalidInputError, match="makes a cycle: ru_db → ru_db"):
        world.change("ru_db", depends_on=NEEDS_DB)


def test_a_dependency_that_changed_while_the_order_was_checked_is_a_conflict():
    world = world_with_db()
    rules = world.stores.rules
    new = make_rule("ru_9", load_balancer_id=None, http=(), depends_on=(DependsOn("ru_1", timedelta(0)),))
    graph, _ = graph_below(rules, None, new.spec)
    assert graph.keys() == {"ru_1", "ru_db"}
    world.change("ru_db", idle=2 * IDLE)
    with pytest.raises(ConflictError, match="was changed or deleted meanwhile"):
        rules.create(new, None, None, graph)


def test_what_others_need_is_not_deleted():
    world = world_with_db()
    with pytest.raises(ConflictError, match="ru_1"):
        world.stores.rules.delete(world.stores.rules.get("ru_db"))
    world.change("ru_1", depends_on=())
    world.stores.rules.delete(world.stores.rules.get("ru_db"))


def test_what_is_down_is_not_up_because_who_needs_it_went_down_a_moment_ago():
    """Found by the simulation: a rule that needed it started on a dependency that was up only on paper."""
    now = START + MINUTE
    db = make_rule("ru_db", RuleStatus(), load_balancer_id=None, http=())
    web = make_rule("ru_web", RuleStatus(since=START), resource_ids=("i-2",))
    facts = Facts((ObservedResource(db.spec.refs[0], ResourceState.STOPPED),), dependents=(Neighbour(web),))
    decision = decide(db, facts, now)
    assert (decision.state, decision.action) == (RuleState.DOWN, Action.NOTHING)


def test_what_is_needed_waits_for_who_aws_does_not_stop():
    """Found by the simulation: a rule whose stop AWS refused still runs on what it needs."""
    refused = RuleStatus(RuleState.FAILED, Reason.STOP_FAILED, since=START)
    neighbour = Neighbour(make_rule("ru_web", refused))
    assert neighbour.holds_us
    assert not neighbour.needs_us
