"""A proxy in the making, on fakes: a worker that can die anywhere, a queue, a clock, and an agent that reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.memory.clock import SequentialIds, VirtualClock
from chalicelib.adapters.memory.network import FakeNetwork
from chalicelib.adapters.memory.proxy_parts import (
    FakeOpenedRules,
    FakeProvisionQueue,
    FakeProxyAddresses,
    FakeProxyMachines,
    FakeProxyRoles,
    FakeProxySecrets,
)
from chalicelib.adapters.memory.queue import MemoryQueue
from chalicelib.adapters.memory.stores import MemoryStores
from chalicelib.domain.load_balancers import LoadBalancerKind
from chalicelib.domain.network import Subnet
from chalicelib.usecases.make_alb import AlbMaker
from chalicelib.usecases.make_proxy import ProxyMaker
from chalicelib.usecases.manage_load_balancers import ManageLoadBalancers
from chalicelib.usecases.provision import Provisioner
from chalicelib.usecases.provision_acts import ProxyActs
from chalicelib.usecases.provision_facts import ProxyFacts
from tests.builders import make_balancer
from tests.unit.alb_parts import alb_parts

if TYPE_CHECKING:
    from chalicelib.domain.load_balancers import LoadBalancer

API = "https://api.example.com/api"
REGION = "us-east-1"


class KilledError(BaseException):
    """The worker's process ends here: nothing catches this."""


class Killer:
    """Kills the worker at the `at`th call of any part, before or after the call."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.after = False
        self.calls = 0

    def around(self, part: Any) -> Any:
        killer = self

        class Watched:
            def __getattr__(self, name: str) -> Any:
                real = getattr(part, name)
                if not callable(real):
                    return real

                def call(*args: Any, **more: Any) -> Any:
                    killer.calls += 1
                    mine = killer.calls == killer.at
                    if mine and not killer.after:
                        raise KilledError
                    answer = real(*args, **more)
                    if mine:
                        raise KilledError
                    return answer

                return call

        return Watched()


class ProvisionWorld:
    """Everything around the worker; `run_for` lets time pass and messages arrive."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.stores = s = MemoryStores(self.clock)
        self.ids = ids = SequentialIds()
        self.queue = FakeProvisionQueue(self.clock)
        self.looks = MemoryQueue(self.clock)
        self.network = FakeNetwork()
        self.network.add_vpc(REGION, "vpc-1", "10.0.0.0/16")
        for n, zone in enumerate("ab", 1):
            self.network.add_subnet(REGION, Subnet(f"subnet-{n}", "vpc-1", f"{REGION}{zone}"))
            self.network.offers.add(("t3.micro", f"{REGION}{zone}"))
        self.network.add_group(REGION, "sg-1", "vpc-1")
        self.network.add_group(REGION, "sg-2", "vpc-1")
        self.machines, self.addresses = FakeProxyMachines(self.clock), FakeProxyAddresses()
        self.opened, self.roles, self.secrets = FakeOpenedRules(), FakeProxyRoles(), FakeProxySecrets()
        self.albs = alb_parts(self.clock, s.proxies, self.network)
        self.killer = Killer()
        self.reports = True
        """Whether agents do, once their machine runs."""
        parts = [self.machines, self.addresses, self.opened, self.roles, self.secrets, s.keys, s.provisions]
        machines, addresses, opened, roles, secrets, keys, provisions = (self.killer.around(part) for part in parts)
        self.manage = ManageLoadBalancers(
            s.balancers,
            s.proxies,
            s.secret_reports,
            self.network,
            s.provisions,
            self.queue,
            s.events,
            self.clock,
            ids,
            lambda: self.albs.check,
        )
        facts = ProxyFacts(machines, addresses, opened, roles, secrets, self.network, s.proxies, keys, self.clock)
        acts = ProxyActs(machines, addresses, opened, roles, secrets, keys, self.script, s.events, self.clock, ids)
        a, around = self.albs, self.killer.around
        alb = AlbMaker(
            *(around(part) for part in (a.albs, a.rules, a.groups, a.function, a.records)),
            s.proxies,
            s.events,
            self.looks,
            self.clock,
            ids,
        )
        makers = {LoadBalancerKind.PROXY: ProxyMaker(facts, acts), LoadBalancerKind.ALB: alb}
        self.worker = Provisioner(s.balancers, provisions, makers, self.queue, s.events, self.clock, ids)

    @staticmethod
    def script(balancer: LoadBalancer) -> str:
        assert balancer.key_secret_arn, "a machine without a key to find is of no use"
        return f"fetches its key from {balancer.key_secret_arn}"

    def create(self, **changes: Any) -> str:
        draft = make_balancer("", existing=False, **changes)
        return self.manage.create(draft, "ak_admin", lambda: API).balancer.id

    def get(self, id_: str) -> LoadBalancer:
        return self.stores.balancers.get(id_)

    def put(self, id_: str, **changes: Any) -> None:
        self.manage.replace(id_, replace(self.get(id_), provision=None, **changes), "ak_admin")

    def step(self) -> None:
        """One second: agents report, and what is due is worked off."""
        self.clock.advance(timedelta(seconds=1))
        if self.reports:
            self.report()
        for id_, at_once in self.queue.take():
            self.worker.run(id_, at_once=at_once)

    def report(self) -> None:
        for page in [self.stores.balancers.list(100)]:
            for balancer in page.items:
                for machine in self.machines.find(balancer):
                    if machine.state == "running" and self.stores.proxies.has(balancer.id):
                        self.stores.proxies.applied(balancer.id, machine.id, 0, self.clock.now())

    def run_for(self, span: timedelta) -> None:
        for _ in range(int(span.total_seconds())):
            self.step()

    def left(self) -> list[str]:
        """What stands in the account and costs, or lets somebody in."""
        machines = [vm.machine.id for vm in self.machines.vms.values() if vm.ended is None]
        keys = [key.id for key in self.stores.keys.list(100).items]
        return [
            *machines,
            *self.addresses.owned,
            *self.opened.added,
            *self.roles.rights,
            *self.secrets.kept,
            *keys,
        ]

    def told(self, id_: str) -> list[str]:
        """The events of a load balancer, oldest first."""
        start, end = self.clock.now() - timedelta(days=30), self.clock.now() + timedelta(days=1)
        found = self.stores.events.all(start, end, 500).items
        return [event.kind.value for event in reversed(found) if event.subject == id_]
