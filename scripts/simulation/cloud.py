"""The cloud of the simulation: FakeCloud with failures by chance, hours counted, and every call checked first."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.adapters.memory.cloud import FakeCloud

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence

    from chalicelib.adapters.memory.clock import VirtualClock
    from chalicelib.adapters.memory.cloud import FakeInstance
    from chalicelib.domain.resources import Outcome, ResourceRef, ResourceState
    from scripts.simulation.checks import Checks

SLOW, FAILS, REFUSED, WORKER_DIES = 0.03, 0.02, 0.03, 0.0005
"""Chances of a start or stop."""

NO_CAPACITY = ("InsufficientInstanceCapacity", "There is no spare capacity of this type in the zone.")
NOT_NOW = ("IncorrectInstanceState", "The instance is not in a state from which it can be stopped.")
KMS = "Client.InternalError: Client error on launch"


def _nobody_listens(ref: ResourceRef, state: ResourceState) -> None:
    del ref, state


class WorkerDiedError(BaseException):
    """The worker's process is gone in the middle of a step. Not an Exception: nothing of ours may catch it."""


class ChancyCloud(FakeCloud):
    """`calm` ends all failures. `changed` hears of each transition, after it."""

    def __init__(self, clock: VirtualClock, chance: random.Random, owners: dict[ResourceRef, str]) -> None:
        super().__init__(clock)
        self._chance, self._owners = chance, owners
        self.calm = False
        self.checks: Checks | None = None
        self.changed: Callable[[ResourceRef, ResourceState], None] = _nobody_listens
        self.ran: dict[ResourceRef, timedelta] = defaultdict(timedelta)
        self.counts: Counter[str] = Counter()

    def start(self, refs: Sequence[ResourceRef]) -> Sequence[Outcome]:
        self._checked(refs, "starts")
        if self._happens(REFUSED):
            for ref in refs:
                self.instances[ref].refuse_start.extend([NO_CAPACITY] * self._chance.choice((1, 1, 1, 2, 6)))
        return self._counted(refs, super().start(refs), "starts")

    def stop(self, refs: Sequence[ResourceRef], *, hibernate: bool = False) -> Sequence[Outcome]:
        self._checked(refs, "stops")
        if self._happens(REFUSED):
            for ref in refs:
                self.instances[ref].refuse_stop.extend([NOT_NOW] * self._chance.choice((1, 1, 3)))
        return self._counted(refs, super().stop(refs, hibernate=hibernate), "stops")

    def hours_run(self, refs: Iterable[ResourceRef]) -> float:
        """Hours from the beginning until now in which these instances ran, all together."""
        now, total = self._clock.now(), timedelta(0)
        for ref in refs:
            since = self.instances[ref].running_since
            total += self.ran[ref] + (timedelta(0) if since is None else now - since)
        return total / timedelta(hours=1)

    def _checked(self, refs: Sequence[ResourceRef], what: str) -> None:
        for rule_id in sorted({self._owners[ref] for ref in refs}):
            if self.checks is not None:
                (self.checks.start if what == "starts" else self.checks.stop)(rule_id, self._clock.now())
        if self._happens(WORKER_DIES):
            raise WorkerDiedError

    def _counted(self, refs: Sequence[ResourceRef], outcomes: Sequence[Outcome], what: str) -> Sequence[Outcome]:
        accepted = sum(outcome.accepted for outcome in outcomes)
        self.counts[what] += accepted
        self.counts[f"refused {what}"] += len(refs) - accepted
        if self._happens(WORKER_DIES):
            raise WorkerDiedError
        return outcomes

    def _happens(self, probability: float) -> bool:
        return not self.calm and self._chance.random() < probability

    def _boot(self, instance: FakeInstance) -> None:
        instance.boot = timedelta(seconds=self._chance.randint(10, 25))
        if self._happens(SLOW):
            instance.boot = timedelta(minutes=self._chance.choice((2, 4, 7, 13)))
        if self._happens(FAILS):
            instance.falls_back = KMS
            self.counts["failed starts"] += 1
        super()._boot(instance)

    def _to(self, instance: FakeInstance, state: ResourceState, reason: str | None = None) -> None:
        if instance.running_since is not None:
            self.ran[instance.ref] += self._clock.now() - instance.running_since
        super()._to(instance, state, reason)
        self.changed(instance.ref, state)
