"""What proxies' VMs are made of, in memory: machines that take time, addresses, roles, secrets, and refusals."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.errors import CloudError
from chalicelib.domain.provisioning import Address, KeySecret, Machine, MachineState, OpenedRule, RoleState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from chalicelib.domain.certificates import Certificate
    from chalicelib.domain.errors import Fault
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.network_checks import MissingRule
    from chalicelib.ports import Clock

BOOT = timedelta(seconds=20)
SHUT_DOWN = timedelta(seconds=15)
LONGEST_DELAY = 900
"""Seconds: SQS knows whole ones, and no more."""


class FakeProvisionQueue:
    """Implements ProvisionQueue. What is sent lies there until it is due and taken."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.messages: list[tuple[datetime, str, bool]] = []
        self.fail_next: deque[CloudError] = deque()

    def send(self, load_balancer_id: str, delay: timedelta | None = None, *, at_once: bool = False) -> None:
        if self.fail_next:
            raise self.fail_next.popleft()
        seconds = min(LONGEST_DELAY, max(0, math.ceil(delay.total_seconds()))) if delay else 0
        self.messages.append((self._clock.now() + timedelta(seconds=seconds), load_balancer_id, at_once))

    def take(self) -> list[tuple[str, bool]]:
        """Those that are due by now."""
        now = self._clock.now()
        due = [(id_, at_once) for at, id_, at_once in self.messages if at <= now]
        self.messages = [message for message in self.messages if message[0] > now]
        return due


@dataclass(slots=True)
class _Vm:
    balancer: str
    machine: Machine
    launched: datetime
    token: str
    subnet: str
    user_data: str
    ended: datetime | None = None


@dataclass(slots=True)
class FakeProxyMachines:
    """Implements ProxyMachines. A machine runs after BOOT, and is gone SHUT_DOWN after it is terminated."""

    clock: Clock
    vms: dict[str, _Vm] = field(default_factory=dict)
    refusals: deque[CloudError] = field(default_factory=deque)
    """Of the launches to come, in order."""

    def find(self, balancer: LoadBalancer) -> Sequence[Machine]:
        return [self._seen(vm) for vm in self.vms.values() if vm.balancer == balancer.id]

    def launch(self, balancer: LoadBalancer, subnet_id: str, token: str, profile: str, user_data: str) -> str:
        del profile
        known = next((vm for vm in self.vms.values() if vm.token == token), None)
        if known is not None:
            return known.machine.id
        if self.refusals:
            raise self.refusals.popleft()
        number = len(self.vms) + 1
        groups = frozenset(balancer.security_group_ids)
        machine = Machine(f"i-{number:08x}", MachineState.PENDING, groups, f"10.0.0.{number}")
        self.vms[machine.id] = _Vm(balancer.id, machine, self.clock.now(), token, subnet_id, user_data)
        return machine.id

    def set_groups(self, balancer: LoadBalancer, instance_id: str) -> None:
        vm = self.vms.get(instance_id)
        if vm is None:
            raise CloudError("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        vm.machine = replace(vm.machine, group_ids=frozenset(balancer.security_group_ids))

    def terminate(self, balancer: LoadBalancer, instance_id: str) -> None:
        del balancer
        self.end(instance_id, "Client.UserInitiatedShutdown: User initiated shutdown")

    def end(self, instance_id: str, why: str) -> None:
        """Somebody, or EC2 itself, terminates it."""
        vm = self.vms.get(instance_id)
        if vm is not None and vm.ended is None:
            vm.ended, vm.machine = self.clock.now(), replace(vm.machine, why=why)

    def stop(self, instance_id: str) -> None:
        """Somebody stops it."""
        vm = self.vms[instance_id]
        vm.machine = replace(vm.machine, state=MachineState.STOPPED, why="User initiated")

    def _seen(self, vm: _Vm) -> Machine:
        now = self.clock.now()
        if vm.ended is not None:
            over = now - vm.ended >= SHUT_DOWN
            return replace(vm.machine, state=MachineState.TERMINATED if over else MachineState.SHUTTING_DOWN)
        if vm.machine.state is MachineState.PENDING and now - vm.launched >= BOOT:
            vm.machine = replace(vm.machine, state=MachineState.RUNNING)
        return vm.machine


@dataclass(slots=True)
class FakeProxyAddresses:
    """Implements ProxyAddresses."""

    owned: dict[str, tuple[str, Address]] = field(default_factory=dict)
    """Allocation to load balancer and address."""
    fail_next: deque[CloudError] = field(default_factory=deque)
    count: int = 0

    def find(self, balancer: LoadBalancer) -> Sequence[Address]:
        return [address for owner, address in self.owned.values() if owner == balancer.id]

    def allocate(self, balancer: LoadBalancer) -> None:
        if self.fail_next:
            raise self.fail_next.popleft()
        self.count += 1
        address = Address(f"eipalloc-{self.count}", f"203.0.113.{self.count}")
        self.owned[address.allocation_id] = (balancer.id, address)

    def associate(self, balancer: LoadBalancer, allocation_id: str, instance_id: str) -> None:
        if allocation_id not in self.owned:
            raise CloudError("InvalidAllocationID.NotFound", f"The allocation ID '{allocation_id}' does not exist")
        _, address = self.owned[allocation_id]
        self.owned[allocation_id] = (balancer.id, replace(address, instance_id=instance_id))

    def release(self, balancer: LoadBalancer, allocation_id: str) -> None:
        del balancer
        self.owned.pop(allocation_id, None)


@dataclass(slots=True)
class FakeOpenedRules:
    """Implements OpenedRules."""

    added: dict[str, tuple[str, OpenedRule]] = field(default_factory=dict)
    """Rule to load balancer and rule."""
    count: int = 0

    def find(self, balancer: LoadBalancer) -> Sequence[OpenedRule]:
        return [rule for owner, rule in self.added.values() if owner == balancer.id]

    def open(self, balancer: LoadBalancer, rule: MissingRule) -> None:
        ends = (rule.group_id, rule.first, rule.last, rule.source or "")
        if any((one.group_id, one.first, one.last, one.source) == ends for _, one in self.added.values()):
            return
        self.count += 1
        opened = OpenedRule(f"sgr-{self.count}", *ends)
        self.added[opened.id] = (balancer.id, opened)

    def close(self, balancer: LoadBalancer, rule: OpenedRule) -> None:
        del balancer
        self.added.pop(rule.id, None)


@dataclass(slots=True)
class FakeProxyRoles:
    """Implements ProxyRoles. `faults` are what is wrong with the certificates."""

    rights: dict[str, tuple[Certificate, ...]] = field(default_factory=dict)
    """Load balancer to the certificates that its VM may read."""
    named: dict[str, str | None] = field(default_factory=dict)
    """Load balancer to the secret of the user's own that its VM may read its key from."""
    faults: tuple[Fault, ...] = ()
    not_yet: deque[CloudError] = field(default_factory=deque)

    def state(self, balancer: LoadBalancer) -> RoleState:
        if balancer.id not in self.rights:
            return RoleState.ABSENT
        same = self.rights[balancer.id] == balancer.certificates
        same &= self.named.get(balancer.id) == balancer.api_key_secret_arn
        return RoleState.RIGHT if same else RoleState.DIFFERENT

    def put(self, balancer: LoadBalancer) -> str:
        self.rights[balancer.id], self.named[balancer.id] = balancer.certificates, balancer.api_key_secret_arn
        return self.name(balancer)

    def name(self, balancer: LoadBalancer) -> str:
        return f"autostop-test-proxy-{balancer.id}"

    def delete(self, balancer: LoadBalancer) -> None:
        self.rights.pop(balancer.id, None)

    def prove(self, balancer: LoadBalancer) -> tuple[Fault, ...]:
        del balancer
        if self.not_yet:
            raise self.not_yet.popleft()
        return self.faults


@dataclass(slots=True)
class FakeProxySecrets:
    """Implements ProxySecrets."""

    kept: dict[str, tuple[KeySecret, str]] = field(default_factory=dict)
    """Load balancer to its secret and what is in it."""

    def find(self, balancer: LoadBalancer) -> KeySecret | None:
        return self.kept[balancer.id][0] if balancer.id in self.kept else None

    def create(self, balancer: LoadBalancer, token: str, key_id: str) -> str:
        if balancer.id in self.kept:
            raise CloudError("ResourceExistsException", "The operation failed because the secret already exists.")
        arn = f"arn:aws:secretsmanager:{balancer.region}:123456789012:secret:autostop/test/proxy/{balancer.id}-AbCdEf"
        self.kept[balancer.id] = (KeySecret(arn, key_id), token)
        return arn

    def renew(self, balancer: LoadBalancer, arn: str, token: str, key_id: str) -> None:
        self.kept[balancer.id] = (KeySecret(arn, key_id), token)

    def delete(self, balancer: LoadBalancer, arn: str) -> None:
        del arn
        self.kept.pop(balancer.id, None)
