"""Rules, load balancers and keys with defaults, so that a test says only what it is about."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.access import ApiKey, Role, hash_secret
from chalicelib.domain.albs import AlbSettings
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.load_balancers import LoadBalancer, LoadBalancerKind
from chalicelib.domain.resources import ResourceKind
from chalicelib.domain.routes import HttpRoute, TcpRoute
from chalicelib.domain.rules import Rule, RuleSpec, RuleStatus, SeenResource
from chalicelib.domain.schedules import Schedule, ScheduleKind
from chalicelib.domain.wall_time import Weekday, WeeklyWindow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from chalicelib.domain.resources import ResourceState


def make_spec(**changes: Any) -> RuleSpec:
    settings: dict[str, Any] = {
        "name": "site",
        "idle": timedelta(minutes=15),
        "kind": ResourceKind.EC2,
        "region": "us-east-1",
        "resource_ids": ("i-00000001",),
        "load_balancer_id": "lb_1",
        "http": (HttpRoute(("app.example.com",), ("/*",), target_port=8080),),
    }
    return RuleSpec(**(settings | changes))


def make_rule(id_: str = "ru_1", status: RuleStatus | None = None, **changes: Any) -> Rule:
    return Rule(id_, make_spec(**changes), status or RuleStatus(due_at=START), 1, 1, START, START)


def ssh_rule(id_: str = "ru_2", listen_port: int | None = 20001, **changes: Any) -> Rule:
    settings: dict[str, Any] = {"http": (), "tcp": (TcpRoute("ssh", 22, listen_port),), "resource_ids": ("i-00000002",)}
    return make_rule(id_, **(settings | changes))


def make_balancer(id_: str = "lb_1", **changes: Any) -> LoadBalancer:
    settings: dict[str, Any] = {
        "id": id_,
        "kind": LoadBalancerKind.PROXY,
        "name": "proxy",
        "region": "us-east-1",
        "vpc_id": "vpc-1",
        "subnet_ids": ("subnet-1",),
        "security_group_ids": ("sg-1",),
        "version": 1,
        "created_at": START,
        "updated_at": START,
        "existing": True,
    }
    return LoadBalancer(**(settings | changes))


def make_alb(id_: str = "lb_2", settings: dict[str, Any] | None = None, **changes: Any) -> LoadBalancer:
    """An ALB; `settings` are its own."""
    alb = AlbSettings(**({"scheme": "internal", "domain": "*.example.com"} | (settings or {})))
    where = {"subnet_ids": ("subnet-1", "subnet-2"), "existing": False, "name": "alb"}
    return make_balancer(id_, **(where | {"kind": LoadBalancerKind.ALB, "alb": alb} | changes))


def make_schedule(id_: str = "sc_1", **changes: Any) -> Schedule:
    settings: dict[str, Any] = {
        "id": id_,
        "name": "office hours",
        "kind": ScheduleKind.UPTIME,
        "time_zone": "Europe/Berlin",
        "version": 1,
        "created_at": START,
        "updated_at": START,
        "weekly": (WeeklyWindow(tuple(Weekday)[:5], 9 * 3600, 18 * 3600),),
    }
    return Schedule(**(settings | changes))


def make_key(id_: str = "ak_1234", secret: str = "s" * 40, role: Role = Role.ADMIN, **changes: Any) -> ApiKey:
    return ApiKey(id_, hash_secret(secret), role, "test", START, **changes)


def make_event(id_: str, subject: str = "ru_1", at: Any = START, kind: EventKind = EventKind.DECIDED) -> Event:
    return Event(id_, at, kind, subject, "autostop", "words")


def seen_as(states: Mapping[str, ResourceState], at: datetime | None) -> RuleStatus:
    """The status that a look at these resources left behind; it is due ten minutes later."""
    seen = tuple(SeenResource(id_, state) for id_, state in states.items())
    return RuleStatus(due_at=at and at + timedelta(minutes=10), seen=seen, observed_at=at)
