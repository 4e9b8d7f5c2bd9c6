"""What is counted: so many rules of one kind for a stretch of time that is like any other, as a month."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.models import ActivityItem, ProxyItem, RuleItem
from chalicelib.adapters.dynamodb.rule_items import to_item
from chalicelib.adapters.dynamodb.times import micros
from chalicelib.domain.access import ApiKey, Role, hash_secret
from chalicelib.domain.alb_traffic import AlbPlace, with_default_guard
from chalicelib.domain.albs import AlbSettings, MadeAlb, MadeListener
from chalicelib.domain.compact import compact_rule
from chalicelib.domain.decisions import AT_REST, Reason
from chalicelib.domain.load_balancers import LoadBalancer, LoadBalancerKind
from chalicelib.domain.provision import Phase, Provision
from chalicelib.domain.resources import ResourceKind, ResourceState
from chalicelib.domain.routes import HttpRoute, TcpRoute
from chalicelib.domain.rules import Rule, RuleSpec, RuleState, RuleStatus, SeenResource
from scripts import base_stack
from scripts.costs import assumptions
from scripts.costs.agents import Agent, Guest
from scripts.costs.prices import REGION, Quantity
from scripts.costs.stage import BEFORE, stage

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.resources import ResourceRef
    from scripts.costs.stage import Stage

ON_PROXIES, BUSY_ON_PROXIES, ALL_ON_ALBS = KINDS = "proxy", "proxy_busy", "alb"
"""On proxies one rule in so many is used each day, or all are; on ALBs all are in use all the time."""

MINUTE = timedelta(minutes=1)
THIRD = timedelta(hours=8)
"""In each third of a day the first look at a rule writes a record of usage (domain/looks.py)."""

ELB = "arn:aws:elasticloadbalancing:us-east-1:123456789012"


@dataclass(frozen=True, slots=True)
class Counted:
    """A month of it: quantities, runs of each function, and how many seconds one of them takes on average."""

    rules: int
    kind: str
    balancers: int
    stretch: timedelta
    quantities: dict[Quantity, float]
    invocations: dict[str, float]
    seconds: dict[str, float]


def stretch_of(rules: int) -> timedelta:
    """Virtual time that is counted: about 500 hours of rules, at most a day, at least six minutes."""
    return timedelta(hours=min(24.0, max(0.1, 500 / rules)))


def count(kind: str, rules: int, stretch: timedelta | None = None, seed: int = 1) -> Counted:
    """Let a stage with so many rules live, and make a month of what it did. `kind` is one of KINDS."""
    stretch = stretch or stretch_of(rules)
    each = assumptions.RULES_AN_ALB if kind == ALL_ON_ALBS else assumptions.RULES_A_PROXY
    balancers = math.ceil(rules / each)
    with stage() as made:
        if kind != ALL_ON_ALBS:
            made.clock.advance(BEFORE)
        chance = random.Random(seed)  # noqa: S311  (reproducible is what it must be)
        made.stores.keys.create(ApiKey("ak_people", hash_secret("x"), Role.VIEWER, "people", made.clock.now()))
        if kind == ALL_ON_ALBS:
            _albs(made, chance, rules, balancers, stretch)
        else:
            _proxies(made, chance, rules, balancers, stretch, 1 if kind == BUSY_ON_PROXIES else assumptions.USED_OF)
        made.savings_rollup()  # the first has more days to do than any other
        made.meter.reset()
        made.told.reset()
        made.pass_time(stretch)
        month = _Month()
        month.add(made, timedelta(hours=assumptions.HOURS) / stretch)
        made.meter.reset()
        made.savings_rollup()
        month.add(made, assumptions.HOURS / 24)
        made.meter.reset()
        made.page("ak_people")
        month.add(made, assumptions.HOURS / 24 * assumptions.PEOPLE)
        month.quantities[Quantity.METRICS] = made.told.months(stretch)
        _fixed(month, made.meter.stored())
        return month.counted(rules, kind, balancers, stretch)


class _Month:
    """Sums of what was counted, each as often as it comes in a month."""

    def __init__(self) -> None:
        self.quantities: defaultdict[Quantity, float] = defaultdict(float)
        self._runs: defaultdict[str, float] = defaultdict(float)
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def add(self, made: Stage, times: float) -> None:
        meter = made.meter
        for quantity, amount in meter.counted.items():
            self.quantities[quantity] += amount * times
        for name, runs in meter.invocations.items():
            self._runs[name] += runs * times
            self._seconds[name] += meter.seconds[name] * times

    def counted(self, rules: int, kind: str, balancers: int, stretch: timedelta) -> Counted:
        seconds = {name: total / self._runs[name] for name, total in self._seconds.items()}
        return Counted(rules, kind, balancers, stretch, dict(self.quantities), dict(self._runs), seconds)


def _fixed(month: _Month, stored: int) -> None:
    """What is there all the time: two queues that are polled, storage, alarms."""
    quantities = month.quantities
    quantities[Quantity.SQS_REQUESTS] += 2 * assumptions.IDLE_POLLS_AN_HOUR * assumptions.HOURS
    quantities[Quantity.DYNAMODB_STORAGE] = stored / 1e9
    made = base_stack.template("cost")["Resources"].values()
    quantities[Quantity.ALARMS] = sum(resource["Type"] == "AWS::CloudWatch::Alarm" for resource in made)


# Rules


def _rule(stage: Stage, n: int, balancer: str, status: RuleStatus, *, tcp: bool) -> Rule:
    """An ordinary one: a host, and on a proxy SSH beside it."""
    long_ago = stage.clock.now() - timedelta(days=30)
    spec = RuleSpec(
        f"service {n}",
        assumptions.IDLE,
        ResourceKind.EC2,
        REGION,
        (f"i-{n:017x}",),
        load_balancer_id=balancer,
        http=(HttpRoute((f"service-{n}.dev.example.com",), target_port=8080),),
        tcp=(TcpRoute("ssh", 22, 20_000 + n % assumptions.RULES_A_PROXY),) if tcp else (),
    )
    if not tcp:
        spec = with_default_guard(spec)
    return Rule(f"ru_{n:026}", spec, status, 1, 7, long_ago, long_ago)


def _looked(at: datetime, stretch: timedelta, chance: random.Random) -> datetime:
    """When a rule that is up was last looked at, `at` being the beginning of a third of a day.

    Of those rules as many have their first look of a third in this stretch as in any other.
    """
    return at - timedelta(seconds=1) if chance.random() < stretch / THIRD else at


def _up(n: int, since: datetime, used: datetime, looked: datetime) -> RuleStatus:
    return RuleStatus(
        RuleState.UP,
        Reason.ACTIVE,
        since=since,
        due_at=used + assumptions.IDLE,
        up_since=since,
        woken_at=since - timedelta(seconds=30),
        woken_by=f"traffic 203.0.113.7 to service-{n}.dev.example.com/",
        start_requested_at=since - timedelta(seconds=29),
        seen=(SeenResource(f"i-{n:017x}", ResourceState.RUNNING, "10.0.0.1"),),
        observed_at=looked,
    )


def _instance(stage: Stage, n: int, status: RuleStatus) -> ResourceRef:
    runs = status.state is RuleState.UP
    ref = stage.cloud.add(f"i-{n:017x}", state=ResourceState.RUNNING if runs else ResourceState.STOPPED)
    if runs:
        instance = stage.cloud.instances[ref]
        instance.launched_at = instance.running_since = status.since
    return ref


def _store(rules: list[Rule], used: dict[str, tuple[str, datetime]]) -> None:
    with RuleItem.batch_write() as batch, ProxyItem.batch_write() as parts, ActivityItem.batch_write() as facts:
        for rule in rules:
            batch.save(to_item(rule))
            parts.save(ProxyItem(rule.spec.load_balancer_id, f"rule#{rule.id}", body=_compact(rule)))
            source, at = used[rule.id]
            facts.save(ActivityItem(rule.id, f"fact#last#{source}", at=micros(at)))


def _compact(rule: Rule) -> str:
    return compact_rule(rule.id, rule.spec, ["10.0.0.1"])


# Proxies


def _proxies(stage: Stage, chance: random.Random, rules: int, balancers: int, stretch: timedelta, used_of: int) -> None:
    """Rules of which one in `used_of` is used each day at a time of its own, and all that is so of them now."""
    now, made, used = stage.clock.now(), [], {}
    agents = [_agent(stage, f"lb_{n:026}", f"i-proxy{n:012x}", chance) for n in range(balancers)]
    for n in range(rules):
        agent = agents[n % balancers]
        if (n // balancers) % used_of:
            rule = _rule(stage, n, agent.load_balancer_id, _resting(stage, n, chance), tcp=True)
            made.append(rule)
            used[rule.id] = (f"proxy {agent.member}", now - timedelta(days=9))
            agent.guests.append(Guest(rule.id, _instance(stage, n, rule.status), None, accepts=False))
            continue
        begins = now - assumptions.DAY * ((n + 0.5) / rules)
        into = now - begins
        ended = begins + assumptions.SESSION
        last = now - MINUTE * chance.random() if into < assumptions.SESSION else ended
        if now < last + assumptions.IDLE:
            # The look before was when what was used then could have been long enough ago.
            known = last if into >= assumptions.SESSION else now - assumptions.IDLE * chance.random()
            status = _up(n, begins, known, _looked(now, stretch, chance))
        else:
            down = ended + assumptions.IDLE + 2 * MINUTE
            status = _down(n, down, down + AT_REST * ((now - down) // AT_REST))
        rule = _rule(stage, n, agent.load_balancer_id, status, tcp=True)
        made.append(rule)
        used[rule.id] = (f"proxy {agent.member}", last)
        ref = _instance(stage, n, status)
        agent.guests.append(Guest(rule.id, ref, begins, accepts=status.state is RuleState.UP))
    _store(made, used)
    for agent in agents:
        agent.begin()


def _resting(stage: Stage, n: int, chance: random.Random) -> RuleStatus:
    now = stage.clock.now()
    return _down(n, now - timedelta(days=9), now - AT_REST * chance.random())


def _down(n: int, since: datetime, looked: datetime) -> RuleStatus:
    return RuleStatus(
        RuleState.DOWN,
        Reason.IDLE,
        since=since,
        due_at=looked + AT_REST,
        stop_requested_at=since - MINUTE,
        seen=(SeenResource(f"i-{n:017x}", ResourceState.STOPPED, "10.0.0.1"),),
        observed_at=looked,
    )


def _agent(stage: Stage, id_: str, member: str, chance: random.Random) -> Agent:
    now, key = stage.clock.now(), f"ak_{id_}"
    nowhere = ("vpc-0", ("subnet-0",), ("sg-0",), 1, now, now)
    secret = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:autostop/{id_}"
    stands = Provision(Phase.READY, "https://api.example.com", now, instance_id=member, secret_arn=secret, key_id=key)
    balancer = LoadBalancer(id_, LoadBalancerKind.PROXY, id_, REGION, *nowhere, provision=stands)
    stage.stores.balancers.create(balancer)
    stage.stores.keys.create(ApiKey(key, hash_secret("x"), Role.PROXY, "proxy", now, load_balancer_id=id_))
    stage.cloud.add(member, state=ResourceState.RUNNING)
    return Agent(stage, id_, member, key, chance)


# ALBs


def _albs(stage: Stage, chance: random.Random, rules: int, balancers: int, stretch: timedelta) -> None:
    """Rules that are all in use, all the time."""
    now, made, used, groups = stage.clock.now() + BEFORE, [], {}, []
    places = [_alb(stage, n) for n in range(balancers)]
    for n in range(rules):
        place = places[n // assumptions.RULES_AN_ALB]
        last = now - assumptions.IDLE * chance.random()
        status = _up(n, now - timedelta(days=1), last, _looked(now, stretch, chance))
        rule = _rule(stage, n, place.load_balancer_id, status, tcp=False)
        ref = _instance(stage, n, status)
        arn = stage.elb.add(place, rule.id, (ref,))
        groups.append(stage.elb.rules[arn].weights.groups[0][0])
        made.append(rule)
        used[rule.id] = (f"load balancer {place.load_balancer_id}", last)
    _store(made, used)

    def somebody_comes() -> None:
        stage.clock.at(stage.clock.now() + MINUTE, somebody_comes)
        for group in groups:
            stage.metrics.request(group)

    somebody_comes()
    stage.clock.advance(BEFORE)


def _alb(stage: Stage, n: int) -> AlbPlace:
    now, id_ = stage.clock.now(), f"lb_{n:026}"
    arn = f"{ELB}:loadbalancer/app/as-{n}/{n:016x}"
    listener, group = f"{ELB}:listener/app/as-{n}/{n:016x}/{n:016x}", f"{ELB}:targetgroup/as-lb-{n}/{n:016x}"
    listeners = (MadeListener(listener, 443, "https"),)
    alb = MadeAlb(arn, f"as-{n}.{REGION}.elb.amazonaws.com", "Z1", listeners, function_target_group_arn=group)
    stands = Provision(Phase.READY, "https://api.example.com", now, alb=alb)
    nowhere = ("vpc-0", ("subnet-0",), ("sg-0",), 1, now, now)
    settings = AlbSettings("internal", "*.dev.example.com")
    made = LoadBalancer(id_, LoadBalancerKind.ALB, id_, REGION, *nowhere, alb=settings, provision=stands)
    stage.stores.balancers.create(made)
    return AlbPlace(id_, REGION, arn, (listener,), group)
