"""The worker that makes proxies' VMs, and takes them away: look, do the next step, look again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.errors import CloudError, InvalidInputError, LostClaimError, NoRoomError, NotFoundError
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.provision import Phase, with_another_machine
from chalicelib.domain.provisioning import SOON, Fail, Forget, Gone, Stand, Wait
from chalicelib.domain.provisioning_steps import next_step

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.provision import Provision
    from chalicelib.domain.provisioning import Step
    from chalicelib.ports import Clock, EventLog, Ids, LoadBalancerRepository, ProvisionQueue, Provisions
    from chalicelib.usecases.provision_acts import ProxyActs
    from chalicelib.usecases.provision_facts import ProxyFacts

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=3)
"""Longer than the function may run: who takes it over knows that the one before is over."""

EARLY = timedelta(seconds=2)
"""So much earlier than planned a message may come: clocks differ."""

MOST_STEPS = 25
"""In one run; making a proxy takes ten, and one for each inbound rule."""

AGAIN = timedelta(hours=1)
"""When what stands, or has failed, is looked at again."""

PATIENCE = timedelta(minutes=10)
"""For what AWS refuses for now: throttled, or a role that is not known everywhere yet."""

PAGE = 100


@dataclass(slots=True)
class Provisioner:
    """Level-triggered: whatever a run left undone, and whoever was killed in the middle of it, the next goes on."""

    balancers: LoadBalancerRepository
    provisions: Provisions
    facts: ProxyFacts
    acts: ProxyActs
    queue: ProvisionQueue
    events: EventLog
    clock: Clock
    ids: Ids

    def run(self, load_balancer_id: str, *, at_once: bool = False) -> None:
        """Go on with one load balancer that is due, or `at_once`, unless another worker is at it.

        Asks to be called again while it takes time.
        """
        claimed = self._claim(load_balancer_id, at_once=at_once)
        if claimed is None:
            return
        try:
            look_in = self._go_on(claimed)
        except LostClaimError:
            log.info("somebody else is at it", extra={"load_balancer": load_balancer_id})
            look_in = SOON
        if look_in is not None and look_in < AGAIN:
            self.queue.send(load_balancer_id, look_in)

    def sweep(self) -> int:
        """Have everything looked at that is due, also what a lost message left undone; answers how much."""
        now, found, cursor = self.clock.now(), 0, None
        while True:
            page = self.balancers.list(PAGE, cursor)
            for balancer in page.items:
                made = balancer.provision
                if made is not None and made.look_at <= now and not _leased(made, now):
                    self.queue.send(balancer.id)
                    found += 1
            cursor = page.next_cursor
            if cursor is None:
                return found

    def _claim(self, load_balancer_id: str, *, at_once: bool) -> LoadBalancer | None:
        try:
            balancer = self.balancers.get(load_balancer_id)
        except NotFoundError:
            # Sent before it was stored: by a request that failed then, or one whose second half comes right away.
            log.info("there is no such load balancer (yet)", extra={"load_balancer": load_balancer_id})
            return None
        made, now = balancer.provision, self.clock.now()
        if made is None or (made.look_at > now + EARLY and not at_once) or _leased(made, now):
            return None
        try:
            return self.provisions.put(balancer, replace(made, lease_until=now + LEASE))
        except LostClaimError:
            return None

    def _go_on(self, balancer: LoadBalancer) -> timedelta | None:
        """Answers in how long to look again, None for never."""
        for _ in range(MOST_STEPS):
            made = _provision(balancer)
            try:
                standing = self.facts.of(balancer)
                noticed = self.facts.noticed(made, standing)
                if noticed != made:
                    balancer = self.provisions.put(balancer, noticed)
                    made = _provision(balancer)
                step = next_step(balancer, made, standing, self.clock.now())
                if isinstance(step, (Wait, Fail, Stand, Gone)):
                    return self._rest(balancer, made, step)
                log.info("step", extra={"load_balancer": balancer.id, "step": type(step).__name__})
                after = with_another_machine(made) if isinstance(step, Forget) else self.acts.do(balancer, step)
                if isinstance(step, Forget):
                    after = replace(after, phase=Phase.CREATING, reason=f"{step.instance_id} is gone.")
                    self._tell(balancer, EventKind.LOAD_BALANCER_FAILED, f"lost its machine {step.instance_id}")
            except NoRoomError as error:
                balancer = self.provisions.put(balancer, replace(made, subnet=made.subnet + 1))
                if (made.subnet + 1) % len(balancer.subnet_ids) == 0:
                    return self._rest(balancer, _provision(balancer), Fail(str(error)))
                continue
            except InvalidInputError as error:
                return self._rest(balancer, made, Fail(str(error)))
            except CloudError as error:
                return self._refused(balancer, made, error)
            after = replace(after, stuck_since=None)
            if after != made:
                balancer = self.provisions.put(balancer, after)
        return self._rest(balancer, _provision(balancer), Wait("It takes more steps than usual."))

    def _refused(self, balancer: LoadBalancer, made: Provision, error: CloudError) -> timedelta | None:
        now = self.clock.now()
        stuck = replace(made, stuck_since=made.stuck_since or now)
        if error.retryable and now - (stuck.stuck_since or now) < PATIENCE:
            return self._rest(balancer, stuck, Wait(str(error)))
        return self._rest(balancer, stuck, Fail(str(error)))

    def _rest(self, balancer: LoadBalancer, made: Provision, step: Step) -> timedelta | None:
        now = self.clock.now()
        if isinstance(step, Gone):
            self.provisions.end_removal(balancer)
            self._tell(balancer, EventKind.LOAD_BALANCER_DELETED, "was deleted, with everything that was made for it")
            return None
        if isinstance(step, Wait):
            self.provisions.put(balancer, _resting(made, now + step.next_look, reason=step.reason))
            return step.next_look
        if isinstance(step, Fail):
            phase = made.phase if made.phase is Phase.DELETING else Phase.FAILED
            failed = _resting(made, now + AGAIN, phase=phase, reason=step.reason)
            self.provisions.put(balancer, replace(failed, machine_failed=made.machine_failed or step.machine))
            if (made.phase, made.reason) != (phase, step.reason):
                self._tell(balancer, EventKind.LOAD_BALANCER_FAILED, f"could not be made: {step.reason}")
            return AGAIN
        self.provisions.put(balancer, _resting(made, now + AGAIN, phase=Phase.READY))
        if made.phase is not Phase.READY:
            self._tell(balancer, EventKind.LOAD_BALANCER_READY, f"is ready on {made.instance_id}")
        return AGAIN

    def _tell(self, balancer: LoadBalancer, kind: EventKind, what: str) -> None:
        words = f"Load balancer {balancer.name} {what}."
        self.events.append([Event(self.ids.new("ev"), self.clock.now(), kind, balancer.id, "autostop", words)])


def _leased(made: Provision, now: datetime) -> bool:
    return made.lease_until is not None and made.lease_until > now


def _resting(made: Provision, look_at: datetime, *, phase: Phase | None = None, reason: str | None = None) -> Provision:
    return replace(made, phase=phase or made.phase, reason=reason, look_at=look_at, lease_until=None)


def _provision(balancer: LoadBalancer) -> Provision:
    if balancer.provision is None:
        raise LostClaimError(f"{balancer.id} is no longer ours to make.")
    return balancer.provision
