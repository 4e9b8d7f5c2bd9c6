"""Elastic Load Balancing in memory: ALBs that take time, listeners, listener rules, target groups, and refusals."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.alb_seen import Forward, Redirect, SeenAlb, SeenGroup, SeenListener, SeenRule
from chalicelib.domain.albs import group_name
from chalicelib.domain.errors import CloudError, NotYetError

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence
    from datetime import datetime

    from chalicelib.domain.alb_plan import MakeRule, SetRule
    from chalicelib.domain.alb_seen import Probe
    from chalicelib.domain.alb_steps import PutListener
    from chalicelib.domain.alb_wanted import WantedGroup
    from chalicelib.domain.albs import AccessLogs
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.ports import Clock

PROVISIONING = timedelta(seconds=90)
ELB = "arn:aws:elasticloadbalancing:us-east-1:123456789012"


@dataclass(slots=True)
class FakeElb:
    """The account's state. `refusals`: by the name of a call, what AWS says to the next ones."""

    clock: Clock
    albs: dict[str, tuple[str, SeenAlb, datetime]] = field(default_factory=dict)
    """ARN to name, the ALB, and since when it is."""
    owners: dict[str, str] = field(default_factory=dict)
    """ARN to the id of the load balancer that its tag names."""
    listeners: dict[str, tuple[str, SeenListener]] = field(default_factory=dict)
    rules: dict[str, SeenRule] = field(default_factory=dict)
    groups: dict[str, SeenGroup] = field(default_factory=dict)
    refusals: dict[str, deque[CloudError]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    made: int = 0

    def call(self, name: str) -> None:
        """Said by each call that changes something."""
        self.calls.append(name)
        if waiting := self.refusals.get(name):
            raise waiting.popleft()

    def number(self) -> int:
        """Of the next thing."""
        self.made += 1
        return self.made

    def add_alb(self, arn: str, vpc_id: str, scheme: str = "internal", kind: str = "application") -> SeenAlb:
        """Somebody else's."""
        name = arn.split("/")[2]
        alb = SeenAlb(arn, f"{name}-1.us-east-1.elb.amazonaws.com", "Z35SXDOTRQ7X7K", scheme, vpc_id, kind)
        self.albs[arn] = (name, alb, self.clock.now())
        return alb

    def add_listener(self, alb_arn: str, listener: SeenListener) -> None:
        """Somebody else's."""
        self.listeners[listener.arn] = (alb_arn, listener)

    def forwards_to(self, group_arn: str) -> bool:
        """Whether anything does."""
        return any(isinstance(r.action, Forward) and group_arn in r.action.arns for r in self.rules.values())


class FakeAlbs:
    """Implements Albs."""

    def __init__(self, elb: FakeElb) -> None:
        self._elb = elb

    def find(self, balancer: LoadBalancer) -> SeenAlb | None:
        existing = balancer.alb.existing_arn if balancer.alb else None
        for arn, (name, alb, since) in self._elb.albs.items():
            if arn == existing or (existing is None and name == group_name(balancer.id)):
                ours = self._elb.owners.get(arn) == balancer.id
                if existing is None and not ours:
                    raise CloudError("DuplicateLoadBalancerName", f"{name} is somebody else's")
                ready = not ours or self._elb.clock.now() - since >= PROVISIONING or alb.state != "active"
                return replace(alb, ours=ours, state=alb.state if ready else "provisioning")
        return None

    def create(self, balancer: LoadBalancer) -> None:
        self._elb.call("create_alb")
        settings = balancer.alb
        if settings is None:
            raise ValueError("it is no ALB")
        if self.find(balancer) is None:
            name = group_name(balancer.id)
            arn = f"{ELB}:loadbalancer/app/{name}/{self._elb.number():016x}"
            groups = frozenset(balancer.security_group_ids)
            self._elb.add_alb(arn, balancer.vpc_id, settings.scheme)
            name, alb, since = self._elb.albs[arn]
            self._elb.albs[arn] = (name, replace(alb, group_ids=groups), since)
            self._elb.owners[arn] = balancer.id

    def set_groups(self, balancer: LoadBalancer, arn: str) -> None:
        self._elb.call("set_groups")
        name, alb, since = self._elb.albs[arn]
        self._elb.albs[arn] = (name, replace(alb, group_ids=frozenset(balancer.security_group_ids)), since)

    def delete(self, balancer: LoadBalancer, arn: str) -> None:
        del balancer
        self._elb.call("delete_alb")
        self._elb.albs.pop(arn, None)
        gone = {one for one, (alb, _) in self._elb.listeners.items() if alb == arn}
        self._elb.listeners = {one: pair for one, pair in self._elb.listeners.items() if one not in gone}
        self._elb.rules = {one: rule for one, rule in self._elb.rules.items() if rule.listener_arn not in gone}

    def listeners(self, region: str, alb_arn: str) -> Sequence[SeenListener]:
        del region
        return [listener for arn, listener in self._elb.listeners.values() if arn == alb_arn]

    def set_logs(self, balancer: LoadBalancer, arn: str, logs: AccessLogs | None) -> None:
        del balancer
        self._elb.call("set_logs")
        name, alb, at = self._elb.albs[arn]
        self._elb.albs[arn] = (name, replace(alb, logs=logs), at)

    def put_listener(self, balancer: LoadBalancer, wanted: PutListener) -> None:
        self._elb.call("put_listener")
        there = wanted.there
        arn = there.arn if there else f"{ELB}:listener/{self._elb.number():016x}"
        protocol = "https" if wanted.certificate_arn else "http"
        if there is None:
            self._elb.owners[arn] = balancer.id
        listener = SeenListener(
            arn, wanted.port, protocol, wanted.action, wanted.certificate_arn, ours=arn in self._elb.owners
        )
        self._elb.listeners[arn] = (wanted.alb_arn, listener)

    def drop_listener(self, balancer: LoadBalancer, arn: str) -> None:
        del balancer
        self._elb.call("drop_listener")
        self._elb.listeners.pop(arn, None)
        self._elb.rules = {one: rule for one, rule in self._elb.rules.items() if rule.listener_arn != arn}


class FakeAlbRules:
    """Implements AlbRules."""

    def __init__(self, elb: FakeElb) -> None:
        self._elb = elb

    def find(self, region: str, listener_arns: Sequence[str]) -> Sequence[SeenRule]:
        del region
        return [rule for rule in self._elb.rules.values() if rule.listener_arn in listener_arns]

    def create(self, balancer: LoadBalancer, rule: MakeRule) -> None:
        self._elb.call("create_rule")
        self._free(rule.listener_arn, rule.priority)
        arn = f"{rule.listener_arn.replace(':listener/', ':listener-rule/')}/{self._elb.number():016x}"
        hosts, paths = frozenset(rule.rule.hosts), frozenset(rule.rule.paths)
        self._elb.rules[arn] = SeenRule(
            arn,
            rule.listener_arn,
            rule.priority,
            self._known(rule.action),
            hosts,
            paths,
            load_balancer_id=balancer.id,
            rule_id=rule.rule.rule_id,
        )

    def change(self, balancer: LoadBalancer, rule: SetRule) -> None:
        del balancer
        self._elb.call("change_rule")
        if rule.arn not in self._elb.rules:
            raise CloudError("RuleNotFound", rule.arn)
        hosts, paths = frozenset(rule.rule.hosts), frozenset(rule.rule.paths)
        before = self._elb.rules[rule.arn]
        action = self._known(rule.action)
        self._elb.rules[rule.arn] = replace(before, hosts=hosts, paths=paths, action=action, narrowed=False)

    def move(self, balancer: LoadBalancer, priorities: Sequence[tuple[str, int]]) -> None:
        del balancer
        self._elb.call("move_rules")
        moved = dict(priorities)
        for arn, number in priorities:
            self._free(self._elb.rules[arn].listener_arn, number, frozenset(moved))
        for arn, number in priorities:
            self._elb.rules[arn] = replace(self._elb.rules[arn], priority=number)

    def delete(self, balancer: LoadBalancer, arn: str) -> None:
        del balancer
        self._elb.call("delete_rule")
        self._elb.rules.pop(arn, None)

    def _free(self, listener_arn: str, priority: int, but: frozenset[str] = frozenset()) -> None:
        for rule in self._elb.rules.values():
            if (rule.listener_arn, rule.priority) == (listener_arn, priority) and rule.arn not in but:
                raise NotYetError("PriorityInUse", f"Priority '{priority}' is currently in use")

    def _known(self, action: Forward | Redirect) -> Forward | Redirect:
        if isinstance(action, Forward) and (missing := action.arns - self._elb.groups.keys()):
            raise CloudError("TargetGroupNotFound", f"Target groups '{', '.join(missing)}' not found")
        return action


class FakeTargetGroups:
    """Implements TargetGroups."""

    def __init__(self, elb: FakeElb) -> None:
        self._elb = elb

    def find(self, balancer: LoadBalancer) -> Sequence[SeenGroup]:
        return [group for arn, group in self._elb.groups.items() if self._elb.owners.get(arn) == balancer.id]

    def create(self, balancer: LoadBalancer, group: WantedGroup | None) -> None:
        self._elb.call("create_group")
        name = group_name(group.rule_id if group else balancer.id)
        if any(one.name == name for one in self._elb.groups.values()):
            raise CloudError("DuplicateTargetGroupName", f"A target group with the name '{name}' exists")
        arn = f"{ELB}:targetgroup/{name}/{self._elb.number():016x}"
        self._elb.owners[arn] = balancer.id
        made = SeenGroup(arn, name, "LAMBDA", None)
        if group is not None:
            made = SeenGroup(arn, name, group.protocol, group.probe, rule_id=group.rule_id)
        self._elb.groups[arn] = made

    def probe(self, balancer: LoadBalancer, arn: str, probe: Probe) -> None:
        del balancer
        self._elb.call("probe")
        self._elb.groups[arn] = replace(self._elb.groups[arn], probe=probe)

    def set_multi_value(self, balancer: LoadBalancer, arn: str) -> None:
        del balancer
        self._elb.call("set_multi_value")
        self._elb.groups[arn] = replace(self._elb.groups[arn], multi_value=True)

    def register(self, balancer: LoadBalancer, arn: str, targets: Sequence[tuple[str, int | None]]) -> None:
        del balancer
        self._elb.call("register")
        group = self._elb.groups[arn]
        self._elb.groups[arn] = replace(group, targets=group.targets | frozenset(targets))

    def deregister(self, balancer: LoadBalancer, arn: str, targets: Sequence[tuple[str, int | None]]) -> None:
        del balancer
        self._elb.call("deregister")
        group = self._elb.groups[arn]
        self._elb.groups[arn] = replace(group, targets=group.targets - frozenset(targets))

    def delete(self, balancer: LoadBalancer, arn: str) -> None:
        del balancer
        self._elb.call("delete_group")
        if self._elb.forwards_to(arn):
            raise NotYetError("ResourceInUse", f"Target group '{arn}' is currently in use by a listener or a rule")
        self._elb.groups.pop(arn, None)
