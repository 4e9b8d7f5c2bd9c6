"""A world in which rules are made by tags, and how to ask it who belongs to them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from chalicelib.domain.events import EventKind
from chalicelib.domain.resources import Connector, ResourceState
from chalicelib.usecases.manage_rules import ManageRules
from tests.builders import make_spec
from tests.unit.alb_parts import alb_parts
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
        world.usage,
        world.discover,
        world.provisioning,
        lambda: alb_parts(world.clock, s.proxies).check,
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
