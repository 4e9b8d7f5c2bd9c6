"""The worker that makes load balancers, and takes them away: look, do the next step, look again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from chalicelib.domain.errors import CloudError, InvalidInputError, LostClaimError, NoRoomError, NotFoundError
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.provision import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from chalicelib.domain.load_balancers import LoadBalancer, LoadBalancerKind
    from chalicelib.domain.provision import Provision
    from chalicelib.ports import Clock, EventLog, Ids, LoadBalancerRepository, ProvisionQueue, Provisions

log = logging.getLogger(__name__)

SOON = timedelta(seconds=10)
"""When what only takes time is looked at again."""

LEASE = timedelta(minutes=3)
"""Longer than the function may run: who takes it over knows that the one before is over."""

EARLY = timedelta(seconds=2)
"""So much earlier than planned a message may come: clocks differ."""

MOST_STEPS = 25
"""In one run; making a proxy takes ten, and one for each inbound rule; an ALB about as many, whatever its rules."""

AGAIN = timedelta(hours=1)
"""When what stands, or has failed, is looked at again."""

PATIENCE = timedelta(minutes=10)
"""For what AWS refuses for now: throttled, or a role that is not known everywhere yet."""

PAGE = 100


class Outcome(StrEnum):
    """What a look ends with where nothing is to be done now."""

    WAITS = "waits"
    FAILED = "failed"
    STANDS = "stands"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Nothing is to be done now. `failed`: what is kept of a failure beside its reason.

    `next_look` None: as is usual for the outcome.
    """

    outcome: Outcome
    reason: str | None = None
    next_look: timedelta | None = None
    failed: Provision | None = None


@dataclass(frozen=True, slots=True)
class Next:
    """One step. `do` answers how far it is then; `event`: what people are told, after the load balancer's name."""

    name: str
    do: Callable[[LoadBalancer], Provision]
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What is kept of what stands, and what follows from it."""

    noticed: Provision
    then: Next | Verdict


class Maker(Protocol):
    """What makes one kind of load balancer."""

    def look(self, balancer: LoadBalancer, made: Provision, now: datetime) -> Look:
        """See what stands. Neither this nor a step remembers anything that could be looked at.

        Both raise CloudError, ThrottledError; a step raises NoRoomError and InvalidInputError too.
        """
        ...


@dataclass(slots=True)
class Provisioner:
    """Level-triggered: whatever a run left undone, and whoever was killed in the middle of it, the next goes on."""

    balancers: LoadBalancerRepository
    provisions: Provisions
    makers: Mapping[LoadBalancerKind, Maker]
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
        if made is None or (made.look_at > now + EARLY and not at_once):
            return None
        if _leased(made, now):
            if at_once:
                # Whoever is at it may have looked before what this message tells of.
                self.queue.send(load_balancer_id, SOON, at_once=True)
            return None
        try:
            return self.provisions.put(balancer, replace(made, lease_until=now + LEASE))
        except LostClaimError:
            return None

    def _go_on(self, balancer: LoadBalancer) -> timedelta | None:
        """Answers in how long to look again, None for never."""
        maker = self.makers[balancer.kind]
        for _ in range(MOST_STEPS):
            made = _provision(balancer)
            try:
                look = maker.look(balancer, made, self.clock.now())
                if look.noticed != made:
                    balancer = self.provisions.put(balancer, look.noticed)
                    made = _provision(balancer)
                if isinstance(look.then, Verdict):
                    return self._rest(balancer, made, look.then)
                log.info("step", extra={"load_balancer": balancer.id, "step": look.then.name})
                after = replace(look.then.do(balancer), stuck_since=None)
            except NoRoomError as error:
                balancer = self.provisions.put(balancer, replace(made, subnet=made.subnet + 1))
                if (made.subnet + 1) % len(balancer.subnet_ids) == 0:
                    return self._rest(balancer, _provision(balancer), Verdict(Outcome.FAILED, str(error)))
                continue
            except InvalidInputError as error:
                return self._rest(balancer, made, Verdict(Outcome.FAILED, str(error)))
            except CloudError as error:
                return self._refused(balancer, made, error)
            if look.then.event is not None:
                self._tell(balancer, EventKind.LOAD_BALANCER_FAILED, look.then.event)
            if after != made:
                balancer = self.provisions.put(balancer, after)
        return self._rest(balancer, _provision(balancer), Verdict(Outcome.WAITS, "It takes more steps than usual."))

    def _refused(self, balancer: LoadBalancer, made: Provision, error: CloudError) -> timedelta | None:
        now = self.clock.now()
        stuck = replace(made, stuck_since=made.stuck_since or now)
        waits = error.retryable and now - (stuck.stuck_since or now) < PATIENCE
        return self._rest(balancer, stuck, Verdict(Outcome.WAITS if waits else Outcome.FAILED, str(error)))

    def _rest(self, balancer: LoadBalancer, made: Provision, verdict: Verdict) -> timedelta | None:
        now = self.clock.now()
        match verdict.outcome:
            case Outcome.GONE:
                self.provisions.end_removal(balancer)
                words = "was deleted, with everything that was made for it"
                self._tell(balancer, EventKind.LOAD_BALANCER_DELETED, words)
                return None
            case Outcome.WAITS:
                look_in = verdict.next_look or SOON
                self.provisions.put(balancer, _resting(made, now + look_in, reason=verdict.reason))
                return look_in
            case Outcome.FAILED:
                phase = made.phase if made.phase is Phase.DELETING else Phase.FAILED
                failed = _resting(verdict.failed or made, now + AGAIN, phase=phase, reason=verdict.reason)
                self.provisions.put(balancer, replace(failed, revision=made.revision))
                if (made.phase, made.reason) != (phase, verdict.reason):
                    self._tell(balancer, EventKind.LOAD_BALANCER_FAILED, f"could not be made: {verdict.reason}")
            case Outcome.STANDS:
                # The sweep has it looked at again.
                look_at = now + (verdict.next_look or AGAIN)
                self.provisions.put(balancer, _resting(made, look_at, phase=Phase.READY))
                if made.phase is not Phase.READY:
                    self._tell(balancer, EventKind.LOAD_BALANCER_READY, verdict.reason or "is ready")
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
