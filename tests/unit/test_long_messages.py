"""A message of many rules to a slow AWS: what cannot be begun in time is done by another message."""

from __future__ import annotations

from datetime import timedelta

from chalicelib.domain.resources import ResourceState
from chalicelib.ports import ReconcileRequest
from chalicelib.usecases.reconcile import ENOUGH
from tests.unit.world import World

SLOW = timedelta(seconds=12)
MANY = 8


def slow_world() -> tuple[World, list[str]]:
    """Rules whose instances are down and wanted up; AWS takes its time for each start."""
    world = World()
    ids = [f"ru_{n}" for n in range(10, 10 + MANY)]
    for id_ in ids:
        ref = world.add_rule(id_, f"i-{id_}")
        world.cloud.instances[ref].state = ResourceState.STOPPED
        world.stores.status.wake(id_, world.clock.now(), "traffic", world.clock.now())
    start = world.cloud.start

    def slow(refs):
        world.clock.advance(SLOW)
        return start(refs)

    world.cloud.start = slow
    return world, ids


def started(world: World, ids: list[str]) -> list[str]:
    asked = {ref.id for ref, instance in world.cloud.instances.items() if instance.state is not ResourceState.STOPPED}
    return [id_ for id_ in ids if f"i-{id_}" in asked]


def test_no_rule_is_begun_late_in_a_message_and_none_is_forgotten():
    world, ids = slow_world()
    world.queue.waiting.clear()
    begun = world.clock.now()
    place = world.stores.rules.get(ids[0]).spec.place
    world.worker.run(ReconcileRequest(place, tuple(ids), begun + timedelta(minutes=2), "ec2 state"))
    first = started(world, ids)
    assert first == ids[:3]
    assert world.clock.now() - begun < ENOUGH + SLOW
    left = [request for _, request in world.queue.waiting if request.cause == "ec2 state"]
    assert [request.rule_ids for request in left] == [tuple(ids[3:])]
    while any(request.cause == "ec2 state" for _, request in world.queue.waiting):
        world.queue.deliver(world.worker.run)
    assert started(world, ids) == ids
