"""What is wrong with an ALB that somebody asks for, or with a rule on one; all at once, before anything is stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.alb_order import home, shadowed
from chalicelib.domain.alb_wanted import wanted
from chalicelib.domain.albs import covers
from chalicelib.domain.errors import Fault
from chalicelib.domain.network import Unread
from chalicelib.domain.resources import OWN_ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.alb_seen import Quotas, SeenAlb, SeenCertificate, SeenListener, SeenRule, SeenZone
    from chalicelib.domain.albs import AlbSettings
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.network import NetworkFacts
    from chalicelib.domain.routes import HealthCheck
    from chalicelib.domain.rules import RuleSpec

INTERNET = "internet-facing"
ZONES = 2
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#availability-zones"""

LONGEST_VALUE = 128
_PATH = re.compile(r"[A-Za-z0-9_\-.$/~\"'@:+&*]+")
"""What a path pattern may have; a ? would stand for any one character.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html#path-conditions
"""


@dataclass(frozen=True, slots=True)
class AlbFacts:
    """What AWS said of what an ALB names; None: there is none, or it was not asked for."""

    network: NetworkFacts
    stage_region: str
    certificate: SeenCertificate | Unread | None = None
    zone: SeenZone | Unread | None = None
    existing: SeenAlb | Unread | None = None
    listeners: Sequence[SeenListener] | Unread = ()
    public: frozenset[str] | Unread = frozenset()


@dataclass(frozen=True, slots=True)
class AlbRuleFacts:
    """What a rule on an ALB is held against. `others`: the compact rules of the others.

    `listeners` are protocols by port; `ports` by the ARN of a listener that stands.
    """

    listeners: Mapping[int, str] | Unread
    ports: Mapping[str, int]
    others: Sequence[str]
    rules: Sequence[SeenRule] | Unread
    quotas: Quotas | Unread


def alb_faults(balancer: LoadBalancer, settings: AlbSettings, facts: AlbFacts, now: datetime) -> Iterator[Fault]:
    """Why it cannot be made, or used."""
    if balancer.region != facts.stage_region:
        yield Fault("region", f"is not {facts.stage_region}: an ALB is served by the stage of its own region")
        return
    if settings.existing_arn is None:
        yield from _subnets(balancer, settings, facts)
    else:
        yield from _existing(balancer, settings, facts)
    yield from _certificate(balancer, settings, facts, now)
    yield from _zone(balancer, settings, facts)


def _subnets(balancer: LoadBalancer, settings: AlbSettings, facts: AlbFacts) -> Iterator[Fault]:
    known = facts.network.subnets
    if isinstance(known, Unread):
        return  # said with the network
    zones = {known[id_].zone for id_ in balancer.subnet_ids if id_ in known}
    if len(zones) < ZONES and all(id_ in known for id_ in balancer.subnet_ids):
        where = f"only {', '.join(sorted(zones))}" if zones else "none"
        yield Fault("subnet_ids", f"must be in at least two zones, and name {where}")
    if settings.scheme == INTERNET:
        if isinstance(facts.public, Unread):
            yield _unread("scheme", facts.public)
            return
        for n, id_ in enumerate(balancer.subnet_ids):
            if id_ in known and id_ not in facts.public:
                message = f"{id_} has no route to an internet gateway, which {INTERNET} needs"
                yield Fault(f"subnet_ids[{n}]", message)


def _existing(balancer: LoadBalancer, settings: AlbSettings, facts: AlbFacts) -> Iterator[Fault]:
    field, found = "existing_arn", facts.existing
    if settings.certificate_arn is not None:
        yield Fault("certificate_arn", "is for ALBs that AutoStop makes; an existing one has its own")
    if settings.existing_arn is not None and (region := settings.existing_arn.split(":")[3]) != balancer.region:
        yield Fault(field, f"is in {region}, not in {balancer.region}")
    elif isinstance(found, Unread):
        yield _unread(field, found)
    elif found is None:
        yield Fault(field, f"there is no such load balancer in {balancer.region}")
    elif found.type != "application":
        yield Fault(field, f"is a {found.type} load balancer, not an application load balancer")
    else:
        if found.vpc_id != balancer.vpc_id:
            yield Fault(field, f"is in {found.vpc_id}, not in {balancer.vpc_id}")
        if found.scheme != settings.scheme:
            yield Fault("scheme", f"is {found.scheme} at the existing load balancer")
        if isinstance(facts.listeners, Unread):
            yield _unread(field, facts.listeners)
        elif not facts.listeners:
            yield Fault(field, "has no HTTP or HTTPS listener that rules could be on")


def _certificate(balancer: LoadBalancer, settings: AlbSettings, facts: AlbFacts, now: datetime) -> Iterator[Fault]:
    field, arn, found = "certificate_arn", settings.certificate_arn, facts.certificate
    if arn is None or settings.existing_arn is not None:
        return
    if (region := arn.split(":")[3]) != balancer.region:
        yield Fault(field, f"is in {region}, and a load balancer in {balancer.region} can use those there only")
    elif isinstance(found, Unread):
        yield _unread(field, found)
    elif found is None:
        yield Fault(field, "there is no such certificate in this account")
    else:
        if found.status != "ISSUED":
            yield Fault(field, f"is {found.status}; only one that is ISSUED can be used")
        elif found.not_after is not None and found.not_after <= now:
            yield Fault(field, f"expired at {found.not_after.isoformat()}")
        if not any(covers(name, settings.domain) for name in found.names):
            yield Fault(field, f"is for {', '.join(found.names)}, which does not cover {settings.domain}")


def _zone(balancer: LoadBalancer, settings: AlbSettings, facts: AlbFacts) -> Iterator[Fault]:
    field, found = "hosted_zone_id", facts.zone
    if settings.hosted_zone_id is None:
        return
    if isinstance(found, Unread):
        yield _unread(field, found)
    elif found is None:
        yield Fault(field, f"there is no hosted zone {settings.hosted_zone_id} in this account")
    else:
        if not f".{settings.domain}".endswith(f".{found.name.lower()}"):
            yield Fault(field, f"is the zone of {found.name}, which {settings.domain} is not in")
        if found.private and balancer.vpc_id not in found.vpc_ids:
            yield Fault(field, f"is private and not for {balancer.vpc_id}: nobody there could ask it")


def alb_rule_faults(spec: RuleSpec, balancer: LoadBalancer, compact: str, facts: AlbRuleFacts) -> Iterator[Fault]:
    """Why a rule cannot be on this ALB. `compact`: the rule's own compact form."""
    if spec.tcp:
        yield Fault("tcp", f"{balancer.id} is an ALB, which carries HTTP only; a proxy carries TCP")
    if spec.connector != OWN_ACCOUNT:
        yield Fault("connector", "an ALB reaches instances of its own account only; a proxy reaches others")
    targets = {(r.target_protocol, r.target_port) for r in spec.http if r.action == "forward"}
    if len(targets) > 1:
        yield Fault("http", "on an ALB all routes that forward have the same target: one protocol and one port")
    for n, route in enumerate(spec.http):
        if route.action == "forward" and route.target_protocol not in {"http", "https"}:
            yield Fault(f"http[{n}].target.protocol", "on an ALB is http or https; a proxy has the others")
        for m, path in enumerate(route.paths):
            if len(path) > LONGEST_VALUE or not _PATH.fullmatch(path):
                message = (
                    "on an ALB has at most 128 of the letters, digits and characters _-.$/~\"'@:+& (and * at its end)"
                )
                yield Fault(f"http[{n}].paths[{m}]", message)
        for m, host in enumerate(route.hosts):
            if len(host) > LONGEST_VALUE:
                yield Fault(f"http[{n}].hosts[{m}]", "on an ALB has at most 128 characters")
    if spec.health_check is not None:
        yield from _health(spec.health_check)
    yield from _places(spec, balancer, facts)
    yield from _room(balancer, compact, facts)


def _health(check: HealthCheck) -> Iterator[Fault]:
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
    if check.protocol not in {"http", "https"}:
        yield Fault("health_check.protocol", "on an ALB is http or https")
    if check.interval_seconds < 5:  # noqa: PLR2004
        yield Fault("health_check.interval_seconds", "on an ALB is at least 5")
    if check.timeout_seconds < 2:  # noqa: PLR2004
        yield Fault("health_check.timeout_seconds", "on an ALB is at least 2")
    if check.timeout_seconds >= check.interval_seconds:
        yield Fault("health_check.timeout_seconds", "must be less than interval_seconds")
    if not 200 <= check.status[0] <= check.status[1] <= 499:  # noqa: PLR2004
        yield Fault("health_check.status", "on an ALB is within 200 to 499")


def _places(spec: RuleSpec, balancer: LoadBalancer, facts: AlbRuleFacts) -> Iterator[Fault]:
    if isinstance(facts.listeners, Unread):
        yield _unread("load_balancer_id", facts.listeners)
        return
    there = ", ".join(f"{protocol} on {port}" for port, protocol in sorted(facts.listeners.items())) or "none"
    for n, route in enumerate(spec.http):
        if facts.listeners.get(route.listen_port) != route.listen_protocol:
            wish = f"{route.listen_protocol} on {route.listen_port}"
            yield Fault(f"http[{n}].listen", f"{wish} is no listener of {balancer.id}, which has {there}")


def _room(balancer: LoadBalancer, compact: str, facts: AlbRuleFacts) -> Iterator[Fault]:
    """Whether the quotas let it be, and no foreign rule is before it."""
    if isinstance(facts.rules, Unread) or isinstance(facts.quotas, Unread):
        unread = facts.rules if isinstance(facts.rules, Unread) else facts.quotas
        if isinstance(unread, Unread):
            yield _unread("load_balancer_id", unread)
        return
    mine = wanted([compact])[0].rule_id
    wishes = wanted([*facts.others, compact])
    wish = next(one for one in wishes if one.rule_id == mine)
    ours = sum(len(one.rules) for one in wishes)
    foreign = [rule for rule in facts.rules if rule.load_balancer_id != balancer.id]
    if ours + len(foreign) > facts.quotas.rules:
        yield Fault(
            "http",
            f"needs {len(wish.rules)} listener rules; with {ours - len(wish.rules)} of other rules and {len(foreign)} "
            f"that are not AutoStop's there would be {ours + len(foreign)}, and {balancer.id} may have "
            f"{facts.quotas.rules}. Fewer hosts and paths need fewer, or have the quota raised.",
        )
    groups = 1 + sum(one.group is not None for one in wishes)
    if groups > facts.quotas.target_groups:
        message = f"would be the {groups}th target group of {balancer.id}, which may have {facts.quotas.target_groups}"
        yield Fault("http", message)
    for listener_arn in {rule.listener_arn for rule in foreign}:
        there = [rule for rule in foreign if rule.listener_arn == listener_arn]
        first = home({rule.priority for rule in there}).start
        before = sorted((rule for rule in there if rule.priority < first), key=lambda rule: rule.priority)
        for rule in wish.rules:
            if facts.ports.get(listener_arn) != rule.port:
                continue
            for host, path, other in shadowed(rule, before):
                yield Fault(
                    "http",
                    f"{host}{path} would never be reached: {other.arn} (priority {other.priority}), which is not "
                    "AutoStop's, takes it before",
                )


def _unread(field: str, unread: Unread) -> Fault:
    return Fault(field, f"could not be looked at: {unread.why}")
