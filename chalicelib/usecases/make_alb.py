"""The maker of ALBs: what stands, the next step, and doing it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain import alb_plan as plans
from chalicelib.domain import alb_steps as steps
from chalicelib.domain.alb_wanted import wanted
from chalicelib.domain.albs import MadeAlb, MadeRecord, PutRule
from chalicelib.domain.errors import CloudError, LostClaimError
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.provision import Phase
from chalicelib.domain.provisioning import Fail, Gone, Stand, Wait
from chalicelib.domain.resources import Place, ResourceKind
from chalicelib.usecases.provision import Look, Next, Outcome, Verdict
from chalicelib.usecases.requests import requests_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from chalicelib.domain.alb_seen import SeenListener, SeenRule
    from chalicelib.domain.albs import AlbSettings
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.provision import Provision
    from chalicelib.ports import (
        AlbRules,
        Albs,
        Clock,
        DnsRecords,
        EventLog,
        Ids,
        ProxyStore,
        TargetGroups,
        WarmUpFunction,
        WorkQueue,
    )

log = logging.getLogger(__name__)

DRIFT_LOOK = timedelta(minutes=10)
"""When an ALB that stands is looked at again, for what others may have changed."""


@dataclass(slots=True)
class AlbMaker:
    """Implements Maker."""

    albs: Albs
    rules: AlbRules
    groups: TargetGroups
    function: WarmUpFunction
    records: DnsRecords
    proxies: ProxyStore
    events: EventLog
    looks: WorkQueue
    clock: Clock
    ids: Ids

    def look(self, balancer: LoadBalancer, made: Provision, now: datetime) -> Look:
        settings = _settings(balancer)
        deleting = made.phase is Phase.DELETING
        standing = self._standing(balancer, settings, made, deleting=deleting)
        noticed = steps.noticed(balancer, settings, made, standing, now)
        alb = noticed.alb or MadeAlb()
        step = steps.next_alb_step(balancer, settings, alb, standing, now, deleting=deleting)
        match step:
            case Wait(reason, next_look):
                return Look(noticed, Verdict(Outcome.WAITS, reason, next_look))
            case Fail(reason):
                return Look(noticed, Verdict(Outcome.FAILED, reason))
            case Stand():
                return Look(noticed, Verdict(Outcome.STANDS, f"is ready at {alb.dns_name}", DRIFT_LOOK))
            case Gone():
                return Look(noticed, Verdict(Outcome.GONE))
            case act:
                return Look(noticed, Next(type(act).__name__, lambda current: self._do(current, act)))

    def _standing(
        self, balancer: LoadBalancer, settings: AlbSettings, made: Provision, *, deleting: bool
    ) -> steps.AlbStanding:
        """Read anew each time: a part that could not be looked at is not a part that is not there."""
        before, region = made.alb or MadeAlb(), balancer.region
        alb = self.albs.find(balancer)
        listeners: tuple[SeenListener, ...] = ()
        rules: tuple[SeenRule, ...] = ()
        if alb is not None:
            listeners = tuple(self.albs.listeners(region, alb.arn))
            rules = tuple(self.rules.find(region, [one.arn for one in listeners]))
        zone, old = settings.hosted_zone_id, before.record
        return steps.AlbStanding(
            alb,
            listeners,
            rules,
            tuple(self.groups.find(balancer)),
            None if deleting else self.function.find(region),
            None if zone is None or deleting else self.records.find(zone, settings.domain),
            None if old is None else self.records.find(old.zone_id, old.name),
            () if deleting else wanted(self.proxies.rules(balancer.id)),
        )

    def _do(self, balancer: LoadBalancer, step: steps.AlbAct) -> Provision:
        made = balancer.provision
        if made is None:
            raise LostClaimError(f"{balancer.id} is no longer ours to make.")
        alb = made.alb or MadeAlb()
        match step:
            case steps.PutRecord(zone_id, name, seen, over):
                self.records.put(zone_id, name, (seen.dns_name, seen.zone_id), over=over)
                return replace(made, alb=replace(alb, record=MadeRecord(zone_id, name)))
            case steps.DropRecord(record, dns_name, zone_id):
                self.records.delete(record.zone_id, record.name, (dns_name, zone_id))
                return replace(made, alb=replace(alb, record=None))
            case steps.PutRules(plan, drifted):
                return replace(made, alb=self._put_rules(balancer, alb, plan, drifted))
            case _:
                self._small(balancer, step)
        return made

    def _small(self, balancer: LoadBalancer, step: steps.AlbAct) -> None:
        match step:
            case steps.MakeAlb():
                self.albs.create(balancer)
            case steps.SetAlbGroups(arn):
                self.albs.set_groups(balancer, arn)
            case steps.SetLogs(arn, logs):
                self.albs.set_logs(balancer, arn, logs)
            case steps.DropAlb(arn):
                self.albs.delete(balancer, arn)
            case steps.PutListener():
                self.albs.put_listener(balancer, step)
            case steps.DropListener(arn):
                self.albs.drop_listener(balancer, arn)
            case steps.DropGroups(arns):
                for arn in arns:
                    self.groups.delete(balancer, arn)
            case _:
                self._put_function(balancer, step)

    def _put_function(self, balancer: LoadBalancer, step: steps.AlbAct) -> None:
        match step:
            case steps.AllowFunction():
                self.function.allow(balancer.region)
            case steps.MakeFunctionGroup():
                self.groups.create(balancer, None)
            case steps.SetMultiValue(arn):
                self.groups.set_multi_value(balancer, arn)
            case steps.RegisterFunction(group, arn):
                self.groups.register(balancer, group.arn, [(arn, None)])
                if others := [target for target in group.targets if target[0] != arn]:
                    self.groups.deregister(balancer, group.arn, others)
            case _:
                raise AssertionError(f"{step} is no small step")

    def _put_rules(self, balancer: LoadBalancer, alb: MadeAlb, plan: plans.Plan, drifted: frozenset[str]) -> MadeAlb:
        """One rule that AWS refuses keeps no other from being put: its words are kept, and told once."""
        wishes = {wish.rule_id: wish.fingerprint for wish in wanted(self.proxies.rules(balancer.id))}
        refused = dict(plan.refused)
        for id_ in sorted(drifted):
            self._tell_drift(balancer, id_, plan)
        for move in plan.moves:
            self.rules.move(balancer, move.priorities)
        for id_, changes in plan.changes.items():
            try:
                for change in changes:
                    log.info(
                        "change", extra={"load_balancer": balancer.id, "rule": id_, "change": type(change).__name__}
                    )
                    self._change(balancer, change)
            except CloudError as error:
                if error.retryable:
                    raise
                refused[id_] = str(error)
        self._ask_for_looks(balancer, plan, refused.keys())
        now, kept = self.clock.now(), {rule.rule_id: rule for rule in alb.rules}
        for id_, why in refused.items():
            before = kept.get(id_)
            if before is None or before.problem != why:
                self._tell(balancer, id_, EventKind.LOAD_BALANCER_FAILED, f"could not be put on it: {why}")
            kept[id_] = PutRule(id_, wishes.get(id_, ""), now, why)
        return replace(alb, rules=tuple(kept.values()))

    def _ask_for_looks(self, balancer: LoadBalancer, plan: plans.Plan, refused: Collection[str]) -> None:
        """New listener rules begin at the function: where traffic belongs is for the worker to say, at once."""
        made = [
            id_
            for id_, changes in plan.changes.items()
            if id_ not in refused and any(isinstance(change, plans.MakeRule) for change in changes)
        ]
        place = Place(ResourceKind.EC2, balancer.region)
        self.looks.send(requests_for([(id_, place) for id_ in made], "listener rules made", self.clock.now()))

    def _change(self, balancer: LoadBalancer, change: plans.Change) -> None:
        match change:
            case plans.MakeGroup(group):
                self.groups.create(balancer, group)
            case plans.SetProbe(arn, probe):
                self.groups.probe(balancer, arn, probe)
            case plans.Register(arn, targets):
                self.groups.register(balancer, arn, sorted(targets, key=str))
            case plans.Deregister(arn, targets):
                self.groups.deregister(balancer, arn, sorted(targets, key=str))
            case plans.DropGroup(arn):
                self.groups.delete(balancer, arn)
            case plans.MakeRule():
                self.rules.create(balancer, change)
            case plans.SetRule():
                self.rules.change(balancer, change)
            case plans.DropRule(arn):
                self.rules.delete(balancer, arn)
            case plans.Move(numbers):
                self.rules.move(balancer, numbers)

    def _tell_drift(self, balancer: LoadBalancer, id_: str, plan: plans.Plan) -> None:
        if id_ == balancer.id:
            self._tell(balancer, id_, EventKind.LOAD_BALANCER_DRIFT, "had its priorities changed by hand; put back")
            return
        what = ", ".join(sorted({_WORDS[type(change)] for change in plan.changes[id_]}))
        self._tell(balancer, id_, EventKind.LOAD_BALANCER_DRIFT, f"was changed by hand; put back: {what}")

    def _tell(self, balancer: LoadBalancer, id_: str, kind: EventKind, what: str) -> None:
        of = "" if id_ == balancer.id else f", rule {id_}:"
        words = f"Load balancer {balancer.name}{of} {what}."
        self.events.append([Event(self.ids.new("ev"), self.clock.now(), kind, balancer.id, "autostop", words)])


_WORDS: dict[Callable[..., object], str] = {
    plans.MakeGroup: "its target group was gone",
    plans.SetProbe: "its health check was another",
    plans.Register: "targets were missing",
    plans.Deregister: "targets were added",
    plans.DropGroup: "its target group was another",
    plans.MakeRule: "a listener rule was gone",
    plans.SetRule: "a listener rule had other conditions or another action",
    plans.DropRule: "a listener rule was added",
}


def _settings(balancer: LoadBalancer) -> AlbSettings:
    if balancer.alb is None:
        raise LostClaimError(f"{balancer.id} is no ALB.")
    return balancer.alb
