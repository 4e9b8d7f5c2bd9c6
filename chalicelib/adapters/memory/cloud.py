"""A cloud of EC2 instances in memory: slow boots, refusals, starts that AWS accepts and that fail all the same.

moto's instances run at once and never fail; what peers' users complain of most (research/peers.md, section 4) can be
tested only here.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.resources import ObservedResource, Outcome, Protection, ResourceKind, ResourceRef, ResourceState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from chalicelib.adapters.memory.clock import VirtualClock
    from chalicelib.domain.errors import CloudError


@dataclass(slots=True)
class FakeInstance:
    """One instance. `boot` and `halt` are how long AWS takes; `falls_back`: why the next accepted start fails.

    `refuse_start` and `refuse_stop` hold (code, message) of refusals to come, one for each request.
    """

    ref: ResourceRef
    state: ResourceState = ResourceState.STOPPED
    private_ip: str = "10.0.0.1"
    boot: timedelta = timedelta(seconds=20)
    halt: timedelta = timedelta(seconds=30)
    protections: tuple[Protection, ...] = ()
    falls_back: str | None = None
    state_reason: str | None = None
    running_since: datetime | None = None
    epoch: int = 0
    refuse_start: deque[tuple[str, str]] = field(default_factory=deque)
    refuse_stop: deque[tuple[str, str]] = field(default_factory=deque)


class FakeCloud:
    """`ports.Compute` on a virtual clock. `calls` counts by name; `journal` has what AWS accepted, and when."""

    def __init__(self, clock: VirtualClock, checks_after: timedelta = timedelta(seconds=10)) -> None:
        self._clock = clock
        self._checks_after = checks_after
        self.instances: dict[ResourceRef, FakeInstance] = {}
        self.calls: Counter[str] = Counter()
        self.journal: list[tuple[datetime, str, str]] = []
        self.fail_next: dict[str, deque[CloudError]] = defaultdict(deque)

    def add(self, id_: str, region: str = "us-east-1", **settings: object) -> ResourceRef:
        """A new instance, stopped unless `state` says otherwise."""
        ref = ResourceRef(ResourceKind.EC2, region, id_)
        instance = FakeInstance(ref)
        for name, value in settings.items():
            setattr(instance, name, value)
        if instance.state is ResourceState.RUNNING:
            instance.running_since = self._clock.now()
        self.instances[ref] = instance
        return ref

    def describe(
        self, refs: Sequence[ResourceRef], *, status_checks: bool = False
    ) -> dict[ResourceRef, ObservedResource]:
        self._called("describe")
        return {ref: self._observed(ref, status_checks=status_checks) for ref in refs}

    def protections(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, ObservedResource]:
        self._called("protections")
        return {ref: self._observed(ref, status_checks=False) for ref in refs}

    def start(self, refs: Sequence[ResourceRef]) -> Sequence[Outcome]:
        self._called("start")
        return [self._start(ref) for ref in refs]

    def stop(self, refs: Sequence[ResourceRef]) -> Sequence[Outcome]:
        self._called("stop")
        return [self._stop(ref) for ref in refs]

    # A person at the console

    def start_by_hand(self, ref: ResourceRef) -> None:
        """Somebody starts it outside AutoStop."""
        self._boot(self.instances[ref])

    def stop_by_hand(self, ref: ResourceRef) -> None:
        """Somebody stops it outside AutoStop."""
        self._halt(self.instances[ref])

    def terminate(self, ref: ResourceRef) -> None:
        """Gone for good."""
        self._to(self.instances[ref], ResourceState.GONE)

    # What AWS does

    def _called(self, name: str) -> None:
        self.calls[name] += 1
        if self.fail_next[name]:
            raise self.fail_next[name].popleft()

    def _observed(self, ref: ResourceRef, *, status_checks: bool) -> ObservedResource:
        instance = self.instances.get(ref)
        if instance is None:
            return ObservedResource(ref, ResourceState.GONE)
        since = instance.running_since
        ok = since is not None and self._clock.now() >= since + self._checks_after if status_checks else None
        return ObservedResource(
            ref, instance.state, instance.private_ip, None, instance.state_reason, instance.protections, ok, since
        )

    def _start(self, ref: ResourceRef) -> Outcome:
        instance = self.instances.get(ref)
        if instance is None or instance.state is ResourceState.GONE:
            return Outcome(ref, accepted=False, code="InvalidInstanceID.NotFound", message="It does not exist")
        if instance.refuse_start:
            code, message = instance.refuse_start.popleft()
            return Outcome(ref, accepted=False, code=code, message=message)
        if instance.state is ResourceState.STOPPING:
            return Outcome(ref, accepted=False, code="IncorrectInstanceState", message="It is stopping")
        self.journal.append((self._clock.now(), "start", ref.id))
        if instance.state is ResourceState.STOPPED:
            self._boot(instance)
        return Outcome(ref, accepted=True)

    def _stop(self, ref: ResourceRef) -> Outcome:
        instance = self.instances.get(ref)
        if instance is None or instance.state is ResourceState.GONE:
            return Outcome(ref, accepted=False, code="InvalidInstanceID.NotFound", message="It does not exist")
        if instance.refuse_stop:
            code, message = instance.refuse_stop.popleft()
            return Outcome(ref, accepted=False, code=code, message=message)
        self.journal.append((self._clock.now(), "stop", ref.id))
        if instance.state in {ResourceState.RUNNING, ResourceState.PENDING}:
            self._halt(instance)
        return Outcome(ref, accepted=True)

    def _boot(self, instance: FakeInstance) -> None:
        self._to(instance, ResourceState.PENDING)
        if instance.falls_back is not None:
            reason, instance.falls_back = instance.falls_back, None
            self._later(instance, instance.boot, ResourceState.STOPPED, reason)
        else:
            self._later(instance, instance.boot, ResourceState.RUNNING)

    def _halt(self, instance: FakeInstance) -> None:
        self._to(instance, ResourceState.STOPPING)
        self._later(instance, instance.halt, ResourceState.STOPPED)

    def _later(self, instance: FakeInstance, delay: timedelta, state: ResourceState, reason: str | None = None) -> None:
        epoch = instance.epoch

        def arrive() -> None:
            if instance.epoch == epoch:  # nothing else happened to it meanwhile
                self._to(instance, state, reason)

        self._clock.at(self._clock.now() + delay, arrive)

    def _to(self, instance: FakeInstance, state: ResourceState, reason: str | None = None) -> None:
        instance.epoch += 1
        instance.state = state
        instance.state_reason = reason
        instance.running_since = self._clock.now() if state is ResourceState.RUNNING else None
