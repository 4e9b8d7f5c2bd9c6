"""The whole API on stores in memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from chalice.test import Client

import app as application
from chalicelib import __version__
from chalicelib.adapters.memory.backlogs import FakeBacklogs
from chalicelib.adapters.memory.measures import RecordedMeasures
from chalicelib.adapters.memory.network import FakeNetwork
from chalicelib.bootstrap import api_handler, telling
from chalicelib.domain.access import Role
from chalicelib.usecases.check_dns import CheckDns
from chalicelib.usecases.check_health import CheckHealth
from chalicelib.usecases.heartbeat import Heartbeat
from chalicelib.usecases.manage_account import ManageAccount
from chalicelib.usecases.manage_api_keys import ManageApiKeys
from chalicelib.usecases.manage_load_balancers import ManageLoadBalancers
from chalicelib.usecases.manage_rules import ManageRules
from chalicelib.usecases.manage_schedules import ManageSchedules
from chalicelib.usecases.services import Services
from tests.unit.alb_parts import AlbParts, alb_parts
from tests.unit.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator


class Api:
    def __init__(
        self,
        client: Client,
        world: World,
        services: Services,
        network: FakeNetwork,
        albs: AlbParts,
        backlogs: FakeBacklogs,
        measures: RecordedMeasures,
    ) -> None:
        self.client, self.world, self.services, self.network, self.albs = client, world, services, network, albs
        self.backlogs, self.measures = backlogs, measures
        self.tokens = {
            role: services.manage_api_keys.create(role, role.value, "test").token
            for role in (Role.ADMIN, Role.OPERATOR, Role.VIEWER)
        }
        new = services.manage_api_keys.create(Role.PROXY, "proxy", "test", load_balancer_id="lb_1")
        self.tokens[Role.PROXY] = new.token

    def __call__(self, method: str, path: str, body: Any = None, role: Role | None = Role.ADMIN, **headers: str) -> Any:
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if role is not None:
            sent["Authorization"] = f"Bearer {self.tokens[role]}"
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.client.http.request(method, path, headers=sent, body=raw)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    world = World()
    world.cloud.add("i-0000000a", private_ip="10.0.0.10")
    world.cloud.add("i-0000000b", private_ip="10.0.0.11")
    s = world.stores
    network = FakeNetwork()
    albs = alb_parts(world.clock, s.proxies, network)
    made = ManageRules(
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
        lambda: albs.check,
    )
    schedules = ManageSchedules(
        s.schedules, s.rules, s.status, world.recurrences, s.events, world.queue, world.clock, world.ids
    )
    keys = ManageApiKeys(s.keys, s.balancers, s.events, world.clock, world.ids)
    balancers = ManageLoadBalancers(
        s.balancers,
        s.proxies,
        s.secret_reports,
        network,
        s.provisions,
        world.provisioning,
        s.events,
        world.clock,
        world.ids,
        lambda: albs.check,
    )
    backlogs = FakeBacklogs()
    reads = s.rules, s.status, s.balancers, s.proxies, s.agent_reports
    health = CheckHealth(*reads, backlogs, world.clock, __version__)
    services = Services(
        made,
        schedules,
        balancers,
        keys,
        ManageAccount(s.account, s.events, world.clock, world.ids),
        world.overrides,
        Heartbeat(s.rules, s.activity, world.clock),
        lambda: world.explain,
        world.config,
        world.warm_up,
        lambda: world.savings,
        s.keys,
        s.events,
        s.activity,
        s.proxies,
        world.clock,
        lambda: albs.check,
        CheckDns(s.balancers, albs.resolver, world.ids),
        lambda: health,
    )
    monkeypatch.setattr(api_handler, "services", lambda: services)
    measures = RecordedMeasures()
    monkeypatch.setattr(telling, "measures", lambda: measures)
    with Client(application.app) as client:
        yield Api(client, world, services, network, albs, backlogs, measures)
