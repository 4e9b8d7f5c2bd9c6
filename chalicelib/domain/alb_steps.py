"""Making an ALB, or our part of one, and taking it away: the next step, from what stands in the account. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from chalicelib.domain.alb_pages import not_found_page
from chalicelib.domain.alb_plan import OnAlb, plan
from chalicelib.domain.alb_seen import Fixed, Redirect
from chalicelib.domain.albs import MadeAlb, MadeListener, MadeRecord, PutRule, cname
from chalicelib.domain.provision import Phase
from chalicelib.domain.provisioning import Fail, Gone, Stand, Wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from chalicelib.domain.alb_plan import Plan
    from chalicelib.domain.alb_seen import SeenAlb, SeenFunction, SeenGroup, SeenListener, SeenRule
    from chalicelib.domain.alb_wanted import Wanted
    from chalicelib.domain.albs import AccessLogs, AlbSettings
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.provision import Provision

TRY_AGAIN = timedelta(minutes=10)
"""When what AWS refused for one rule is tried again, unless the rule is changed before."""

HTTP, HTTPS = 80, 443


@dataclass(frozen=True, slots=True)
class AlbStanding:
    """What stands of one load balancer. `record` and `old_record`: where the wildcard, and the one before, point to."""

    alb: SeenAlb | None
    listeners: tuple[SeenListener, ...]
    rules: tuple[SeenRule, ...]
    groups: tuple[SeenGroup, ...]
    function: SeenFunction | None
    record: str | None
    old_record: str | None
    wishes: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class MakeAlb:
    """The load balancer itself."""


@dataclass(frozen=True, slots=True)
class SetAlbGroups:
    """Other security groups."""

    arn: str


@dataclass(frozen=True, slots=True)
class SetLogs:
    """Its access log into another bucket, or (None) nowhere."""

    arn: str
    logs: AccessLogs | None


@dataclass(frozen=True, slots=True)
class DropAlb:
    """The load balancer that we made, with its listeners and their rules."""

    arn: str


@dataclass(frozen=True, slots=True)
class AllowFunction:
    """Let load balancers call the warm-up function."""


@dataclass(frozen=True, slots=True)
class MakeFunctionGroup:
    """The target group before the function."""


@dataclass(frozen=True, slots=True)
class RegisterFunction:
    """The function in its target group, and no other."""

    group: SeenGroup
    function_arn: str


@dataclass(frozen=True, slots=True)
class SetMultiValue:
    """The function's target group hands over whole requests: without it, a redirect to the same URL would lose some.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#multi-value-headers
    """

    arn: str


@dataclass(frozen=True, slots=True)
class PutListener:
    """A listener, made or corrected."""

    alb_arn: str
    port: int
    action: Fixed | Redirect
    certificate_arn: str | None
    there: SeenListener | None


@dataclass(frozen=True, slots=True)
class DropListener:
    """A listener of ours that is not wanted any more."""

    arn: str


@dataclass(frozen=True, slots=True)
class PutRecord:
    """The wildcard alias. `over`: one that we made is there already."""

    zone_id: str
    name: str
    alb: SeenAlb
    over: bool


@dataclass(frozen=True, slots=True)
class DropRecord:
    """A wildcard alias that we made."""

    record: MadeRecord
    dns_name: str
    zone_id: str


@dataclass(frozen=True, slots=True)
class DropGroups:
    """Target groups, where nothing forwards to them any more."""

    arns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PutRules:
    """Listener rules and target groups of rules. `drifted`: rules that somebody else has changed here."""

    plan: Plan
    drifted: frozenset[str]


AlbAct: TypeAlias = (
    MakeAlb
    | SetAlbGroups
    | SetLogs
    | DropAlb
    | AllowFunction
    | MakeFunctionGroup
    | SetMultiValue
    | RegisterFunction
    | PutListener
    | DropListener
    | PutRecord
    | DropRecord
    | DropGroups
    | PutRules
)
AlbStep: TypeAlias = AlbAct | Wait | Fail | Stand | Gone


def next_alb_step(
    balancer: LoadBalancer, settings: AlbSettings, made: MadeAlb, seen: AlbStanding, now: datetime, *, deleting: bool
) -> AlbStep:
    """What to do next; once it is done, what stands is looked at anew."""
    if deleting:
        return _removal(balancer, settings, made, seen)
    alb = seen.alb
    if alb is None:
        if settings.existing_arn is not None:
            return Fail(f"There is no load balancer {settings.existing_arn} any more.")
        return MakeAlb()
    if alb.state == "failed":
        return Fail(f"{alb.arn} has failed: {alb.why or 'AWS does not say why'}.")
    for steps in (_itself, _function, _listeners, _record):
        for step in steps(balancer, settings, made, seen):
            return step
    if (rules := rules_step(balancer, made, seen, now)) is not None:
        return rules
    if alb.state == "provisioning":
        return Wait(f"{alb.dns_name} is being provisioned by AWS.")
    return Stand()


def noticed(
    balancer: LoadBalancer, settings: AlbSettings, provision: Provision, seen: AlbStanding, now: datetime
) -> Provision:
    """What is kept of what stands: people see it, and the worker before may have died before it could tell."""
    made = provision.alb or MadeAlb()
    if seen.alb is not None:
        alb = seen.alb
        made = replace(made, alb_arn=alb.arn, dns_name=alb.dns_name, canonical_zone_id=alb.zone_id, logs=alb.logs)
        if settings.hosted_zone_id is not None and made.record is None and _points(seen.record, seen.alb):
            made = replace(made, record=MadeRecord(settings.hosted_zone_id, settings.domain))
    listeners = tuple(
        sorted((MadeListener(one.arn, one.port, one.protocol) for one in seen.listeners), key=lambda one: one.port)
    )
    group = next((one for one in seen.groups if one.rule_id is None), None)
    made = replace(
        made,
        listeners=listeners,
        function_arn=seen.function.arn if seen.function else made.function_arn,
        function_target_group_arn=group.arn if group else None,
    )
    if provision.phase is not Phase.DELETING:
        made = replace(made, rules=_stood(balancer, made, seen, now))
    return replace(provision, alb=made)


def rules_step(balancer: LoadBalancer, made: MadeAlb, seen: AlbStanding, now: datetime) -> PutRules | None:
    """What is to be done for rules, those left out that AWS refused lately."""
    whole = _plan(balancer, made, seen)
    wishes = {wish.rule_id: wish.fingerprint for wish in seen.wishes}
    changes = {id_: some for id_, some in whole.changes.items() if not _waits(made.put(id_), wishes.get(id_), now)}
    new = {id_: why for id_, why in whole.refused.items() if not _waits(made.put(id_), wishes.get(id_), now)}
    if not changes and not whole.moves and not new:
        return None
    drifted = frozenset(id_ for id_ in changes if _stood_so(made.put(id_), wishes.get(id_)))
    if whole.moves and not changes and not new:
        drifted |= {balancer.id}
    return PutRules(replace(whole, changes=changes, refused=new), drifted)


def _plan(balancer: LoadBalancer, made: MadeAlb, seen: AlbStanding) -> Plan:
    listeners = {one.port: one.arn for one in seen.listeners}
    on = OnAlb(balancer.id, listeners, made.function_target_group_arn or "", seen.rules, seen.groups)
    return plan(seen.wishes, on)


def _waits(put: PutRule | None, wanted: str | None, now: datetime) -> bool:
    return put is not None and put.problem is not None and put.wanted == wanted and now - put.at < TRY_AGAIN


def _stood_so(put: PutRule | None, wanted: str | None) -> bool:
    return put is not None and put.problem is None and put.wanted == wanted


def _stood(balancer: LoadBalancer, made: MadeAlb, seen: AlbStanding, now: datetime) -> tuple[PutRule, ...]:
    """Rules of which nothing is left to do stand from now on; those that are gone are forgotten."""
    whole = _plan(balancer, made, seen)
    found = []
    for wish in seen.wishes:
        before = made.put(wish.rule_id)
        todo = wish.rule_id in whole.changes or wish.rule_id in whole.refused
        if todo:
            found += [before] if before is not None else []
        elif before is not None and _stood_so(before, wish.fingerprint):
            found.append(before)
        else:
            found.append(PutRule(wish.rule_id, wish.fingerprint, now))
    return tuple(found)


def _itself(balancer: LoadBalancer, settings: AlbSettings, made: MadeAlb, seen: AlbStanding) -> Iterator[AlbStep]:
    del made
    alb = seen.alb
    if alb and settings.existing_arn is None and alb.group_ids != frozenset(balancer.security_group_ids):
        yield SetAlbGroups(alb.arn)
    if alb and settings.existing_arn is None and alb.logs != settings.access_logs:
        yield SetLogs(alb.arn, settings.access_logs)


def _function(balancer: LoadBalancer, settings: AlbSettings, made: MadeAlb, seen: AlbStanding) -> Iterator[AlbStep]:
    del balancer, settings, made
    function = seen.function
    if function is None:
        yield Fail("The warm-up function is not deployed in this region: run `chalice deploy`, then PUT it again.")
        return
    if not function.allowed:
        yield AllowFunction()
    group = next((one for one in seen.groups if one.rule_id is None), None)
    if group is None:
        yield MakeFunctionGroup()
    elif not group.multi_value:
        yield SetMultiValue(group.arn)
    elif {arn for arn, _ in group.targets} != {function.arn}:
        yield RegisterFunction(group, function.arn)


def _listeners(balancer: LoadBalancer, settings: AlbSettings, made: MadeAlb, seen: AlbStanding) -> Iterator[AlbStep]:
    del balancer, made
    if seen.alb is None:
        return
    if settings.existing_arn is not None:
        if not seen.listeners:
            yield Fail(f"{settings.existing_arn} has no HTTP or HTTPS listener any more.")
        return
    by_hand = cname(settings, seen.alb.dns_name) if settings.hosted_zone_id is None else None
    page = Fixed(not_found_page(settings.theme, by_hand))
    wanted: dict[int, Fixed | Redirect] = {HTTP: page}
    if settings.certificate_arn is not None:
        wanted = {HTTP: Redirect(), HTTPS: page}
    for port, action in wanted.items():
        certificate = settings.certificate_arn if port == HTTPS else None
        there = next((one for one in seen.listeners if one.port == port), None)
        if there is None or there.action != action or there.certificate_arn != certificate:
            yield PutListener(seen.alb.arn, port, action, certificate, there)
    for one in seen.listeners:
        if one.ours and one.port not in wanted:
            yield DropListener(one.arn)


def _record(balancer: LoadBalancer, settings: AlbSettings, made: MadeAlb, seen: AlbStanding) -> Iterator[AlbStep]:
    del balancer
    alb, zone = seen.alb, settings.hosted_zone_id
    if alb is None:
        return
    wanted = None if zone is None else MadeRecord(zone, settings.domain)
    if made.record is not None and made.record != wanted:
        yield DropRecord(made.record, alb.dns_name, alb.zone_id)
    elif zone is not None and not _points(seen.record, alb):
        if seen.record is not None and made.record is None:
            yield Fail(
                f"{settings.domain} is in {zone} already and points to {seen.record}: take that record away, "
                "or leave hosted_zone_id out and point it to the load balancer yourself."
            )
            return
        yield PutRecord(zone, settings.domain, alb, over=seen.record is not None)


def _points(record: str | None, alb: SeenAlb) -> bool:
    """Route 53's console writes dualstack. before the name, and every answer ends in a dot."""
    return record is not None and record.lower().rstrip(".").removeprefix("dualstack.") == alb.dns_name.lower()


def _removal(balancer: LoadBalancer, settings: AlbSettings, made: MadeAlb, seen: AlbStanding) -> AlbStep:
    alb = seen.alb
    if made.record is not None and seen.old_record is not None and made.dns_name and made.canonical_zone_id:
        return DropRecord(made.record, made.dns_name, made.canonical_zone_id)
    if alb is not None and alb.ours and settings.existing_arn is None:
        return DropAlb(alb.arn)
    ours = tuple(one for one in seen.rules if one.load_balancer_id == balancer.id)
    if ours or any(group.rule_id for group in seen.groups):
        groups = tuple(group for group in seen.groups if group.rule_id)
        empty = OnAlb(balancer.id, {one.port: one.arn for one in seen.listeners}, "", ours, groups)
        return PutRules(plan((), empty), frozenset())
    if seen.groups:
        return DropGroups(tuple(group.arn for group in seen.groups))
    return Gone()


def problems(settings: AlbSettings, made: MadeAlb | None) -> Sequence[str]:
    """What AWS refused for rules, and what an ALB that is not ours does otherwise than was said; in words."""
    if made is None:
        return []
    refused = [f"rule {rule.rule_id}: {rule.problem}" for rule in made.rules if rule.problem]
    wanted = settings.access_logs
    if settings.existing_arn is None or wanted is None or made.alb_arn is None or made.logs == wanted:
        return refused
    where = f"{wanted.bucket}/{wanted.prefix}".rstrip("/")
    return [*refused, f"{made.alb_arn} does not write its access log to {where}: what rules ignore counts as use."]
