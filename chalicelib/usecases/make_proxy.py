"""The maker of proxies' VMs: what stands, the next step, and doing it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.domain.provision import Phase, with_another_machine
from chalicelib.domain.provisioning import Fail, Forget, Gone, Stand, Wait
from chalicelib.domain.provisioning_steps import next_step
from chalicelib.usecases.provision import Look, Next, Outcome, Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.provision import Provision
    from chalicelib.usecases.provision_acts import ProxyActs
    from chalicelib.usecases.provision_facts import ProxyFacts


@dataclass(slots=True)
class ProxyMaker:
    """Implements Maker."""

    facts: ProxyFacts
    acts: ProxyActs

    def look(self, balancer: LoadBalancer, made: Provision, now: datetime) -> Look:
        standing = self.facts.of(balancer)
        noticed = self.facts.noticed(made, standing)
        step = next_step(balancer, noticed, standing, now)
        match step:
            case Wait(reason, next_look):
                return Look(noticed, Verdict(Outcome.WAITS, reason, next_look))
            case Fail(reason, machine):
                failed = replace(noticed, machine_failed=noticed.machine_failed or machine)
                return Look(noticed, Verdict(Outcome.FAILED, reason, failed=failed))
            case Stand():
                return Look(noticed, Verdict(Outcome.STANDS, f"is ready on {noticed.instance_id}"))
            case Gone():
                return Look(noticed, Verdict(Outcome.GONE))
            case Forget(instance_id):
                lost = replace(with_another_machine(noticed), phase=Phase.CREATING, reason=f"{instance_id} is gone.")
                return Look(noticed, Next("Forget", lambda _: lost, f"lost its machine {instance_id}"))
            case act:
                return Look(noticed, Next(type(act).__name__, lambda current: self.acts.do(current, act)))
