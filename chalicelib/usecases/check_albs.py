"""ALBs, and rules on them, held against what the account has, before anything is stored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.alb_checks import INTERNET, AlbFacts, AlbRuleFacts, alb_faults, alb_rule_faults
from chalicelib.domain.alb_steps import HTTP, HTTPS, problems
from chalicelib.domain.alb_wanted import wanted
from chalicelib.domain.compact import compact_rule
from chalicelib.domain.errors import CloudError, Fault
from chalicelib.domain.network import Unread
from chalicelib.domain.network_checks import placement_faults
from chalicelib.usecases.read_network import Questions, read_alb_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.alb_seen import SeenFunction, SeenListener
    from chalicelib.domain.albs import AlbSettings
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.rules import RuleSpec
    from chalicelib.ports import AlbAccount, AlbRules, Albs, Clock, Network, ProxyStore, WarmUpFunction

NEW = "ru_"
"""Stands for the id of a rule that has none yet."""


@dataclass(slots=True)
class CheckAlbs:
    """Read only. `region` is the stage's own, the only one in which it can have ALBs."""

    account: AlbAccount
    albs: Albs
    rules: AlbRules
    function: WarmUpFunction
    network: Network
    proxies: ProxyStore
    clock: Clock
    region: str
    own: WarmUpFunction | None = None
    """The function that this runs in, where that is known."""

    def faults(self, draft: LoadBalancer) -> tuple[Fault, ...]:
        """Of a load balancer; what AWS does not answer is one."""
        settings = draft.alb
        if settings is None:
            return (Fault("kind", "is not alb"),)
        if draft.region != self.region:
            nothing = AlbFacts(read_alb_network(self.network, draft, nothing=True), self.region)
            return tuple(alb_faults(draft, settings, nothing, self.clock.now()))
        facts = self._facts(draft, settings)
        placed = placement_faults(draft, facts.network, needed=settings.existing_arn is None)
        return (*placed, *alb_faults(draft, settings, facts, self.clock.now()))

    def changes(self, before: LoadBalancer, draft: LoadBalancer) -> tuple[Fault, ...]:
        """What of an ALB cannot be changed, and what its rules need of it."""
        old, new = before.alb, draft.alb
        if old is None or new is None:
            return ()
        fixed = [
            *((name, getattr(before, name), getattr(draft, name)) for name in ("region", "vpc_id", "subnet_ids")),
            *((name, getattr(old, name), getattr(new, name)) for name in ("scheme", "existing_arn")),
        ]
        words = "cannot be changed once it is made; create another load balancer"
        faults = [Fault(name, words) for name, was, is_ in fixed if was != is_]
        if new.certificate_arn is None and old.certificate_arn is not None:
            served = [rule["id"] for rule in map(json.loads, self.proxies.rules(before.id)) if _over_tls(rule)]
            faults += [
                Fault("certificate_arn", f"is needed by rule {id_}, which is served over https") for id_ in served
            ]
        return tuple(faults)

    def rule_faults(self, spec: RuleSpec, balancer: LoadBalancer, rule_id: str | None) -> tuple[Fault, ...]:
        """Of a rule on an ALB; its own compact form of before, if any, is put aside."""
        compact = compact_rule(rule_id or NEW, spec, ())
        others = [text for text in self.proxies.rules(balancer.id) if json.loads(text)["id"] != rule_id]
        return tuple(alb_rule_faults(spec, balancer, compact, self._rule_facts(balancer, others)))

    def listener_rules(self, balancer: LoadBalancer) -> dict[str, int]:
        """How many listener rules each rule of this load balancer needs."""
        return {wish.rule_id: len(wish.rules) for wish in wanted(self.proxies.rules(balancer.id))}

    def warnings(self, balancer: LoadBalancer) -> Sequence[str]:
        """What AWS refused for rules on it."""
        made = balancer.provision.alb if balancer.provision else None
        return () if balancer.alb is None else problems(balancer.alb, made)

    def deployed(self, balancer: LoadBalancer) -> SeenFunction | None:
        """The warm-up function as it runs now; None where there is none, or Lambda does not answer."""
        return self._found(self.function, balancer)

    def itself(self, balancer: LoadBalancer) -> SeenFunction | None:
        """The function that this runs in, as Lambda knows it; None where that is not known."""
        return self._found(self.own, balancer)

    @staticmethod
    def _found(function: WarmUpFunction | None, balancer: LoadBalancer) -> SeenFunction | None:
        try:
            return None if function is None else function.find(balancer.region)
        except CloudError:
            # The load balancer itself can still be shown; without the function its status says so.
            return None

    def _facts(self, draft: LoadBalancer, settings: AlbSettings) -> AlbFacts:
        ask, region, account = Questions(), draft.region, self.account
        arn, zone_id, existing = settings.certificate_arn, settings.hosted_zone_id, settings.existing_arn
        here = arn is not None and arn.split(":")[3] == region
        faces_out = settings.scheme == INTERNET and existing is None
        return AlbFacts(
            read_alb_network(self.network, draft),
            self.region,
            ask(lambda: account.certificate(arn)) if arn is not None and here else None,
            None if zone_id is None else ask(lambda: account.zone(zone_id)),
            None if existing is None else ask(lambda: account.balancer(region, existing)),
            () if existing is None else ask(lambda: self._listeners(region, existing)),
            ask(lambda: account.public_subnets(region, draft.vpc_id, draft.subnet_ids)) if faces_out else frozenset(),
        )

    def _listeners(self, region: str, arn: str) -> Sequence[SeenListener]:
        # Of one that does not exist nothing can be listed.
        return () if self.account.balancer(region, arn) is None else self.albs.listeners(region, arn)

    def _rule_facts(self, balancer: LoadBalancer, others: Sequence[str]) -> AlbRuleFacts:
        ask, region, settings = Questions(), balancer.region, balancer.alb
        made = balancer.provision.alb if balancer.provision else None
        arn = (settings.existing_arn if settings else None) or (made.alb_arn if made else None)
        seen = () if arn is None else ask(lambda: self._listeners(region, arn))
        quotas = ask(lambda: self.account.quotas(region))
        if isinstance(seen, Unread):
            return AlbRuleFacts(seen, {}, others, seen, quotas)
        rules = ask(lambda: self.rules.find(region, [one.arn for one in seen]))
        listeners = {one.port: one.protocol for one in seen}
        if settings is not None and settings.existing_arn is None:
            # Those that it will have, also while it is being made.
            listeners = {HTTP: "http"} | ({HTTPS: "https"} if settings.certificate_arn else {})
        return AlbRuleFacts(listeners, {one.arn: one.port for one in seen}, others, rules, quotas)


def _over_tls(rule: dict[str, list[dict[str, object]]]) -> bool:
    return any(route.get("tls") for part in ("http", "redirects") for route in rule.get(part, ()))
