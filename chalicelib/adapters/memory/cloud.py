"""A cloud of EC2 instances in memory: slow boots, refusals, starts that AWS accepts and that fail all the same.

moto's instances run at once and never fail; what peers' users complain of most (research/peers.md, section 4) can be
tested only here.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.membership import TaggedResource
from chalicelib.domain.products import Ec2Product
from chalicelib.domain.resources import (
    OWN_ACCOUNT,
    Connector,
    ObservedResource,
    Outcome,
    Place,
    Protection,
    ResourceKind,
    ResourceRef,
    ResourceState,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from chalicelib.adapters.memory.clock import VirtualClock

BATCH = 200
"""Instances that one describe takes; every place needs calls of its own."""

# What AWS itself refuses to stop; the other protections are ours.
_UNSTOPPABLE = {
    Protection.STOP_PROTECTION: ("OperationNotPermitted", "The instance '{}' may not be stopped."),
    Protection.SPOT: ("UnsupportedOperation", "The one-time Spot instance '{}' cannot be stopped."),
    Protection.INSTANCE_STORE_ROOT: (
        "UnsupportedOperation",
        "The instance '{}' does not have an 'ebs' root device type and cannot be stopped.",
    ),
}


@dataclass(slots=True)
class FakeInstance:
    """One instance. `boot` and `halt` are how long AWS takes; `falls_back`: why the next accepted start fails.

    `launched_at` is when it was last started, and stays when it is stopped. `refuse_start` and `refuse_stop` hold
    (code, message) of refusals to come, one for each request.
    """

    ref: ResourceRef
    state: ResourceState = ResourceState.STOPPED
    instance_type: str = "t3.micro"
    private_ip: str = "10.0.0.1"
    boot: timedelta = timedelta(seconds=20)
    halt: timedelta = timedelta(seconds=30)
    protections: tuple[Protection, ...] = ()
    can_hibernate: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    falls_back: str | None = None
    state_reason: str | None = None
    launched_at: datetime | None = None
    running_since: datetime | None = None
    epoch: int = 0
    refuse_start: deque[tuple[str, str]] = field(default_factory=deque)
    refuse_stop: deque[tuple[str, str]] = field(default_factory=deque)


class FakeCloud:
    """`ports.Compute` on a virtual clock.

    `calls` counts what AWS would be asked, by name; `journal` has what AWS accepted, and when; `fail_next` has, by
    name, the errors that the next calls are answered with. `on_change` hears of each change of state, as EventBridge.
    """

    def __init__(self, clock: VirtualClock, checks_after: timedelta = timedelta(seconds=10)) -> None:
        self._clock = clock
        self._checks_after = checks_after
        self.instances: dict[ResourceRef, FakeInstance] = {}
        self.calls: Counter[str] = Counter()
        self.journal: list[tuple[datetime, str, str]] = []
        self.fail_next: dict[str, deque[CloudError]] = defaultdict(deque)
        self.on_change: Callable[[ResourceRef], None] | None = None

    def add(
        self, id_: str, region: str = "us-east-1", connector: Connector = OWN_ACCOUNT, **settings: object
    ) -> ResourceRef:
        """A new instance, stopped unless `state` says otherwise."""
        ref = ResourceRef(ResourceKind.EC2, region, id_, connector)
        instance = FakeInstance(ref)
        for name, value in settings.items():
            setattr(instance, name, value)
        if instance.state is ResourceState.RUNNING:
            instance.launched_at = instance.running_since = self._clock.now()
        self.instances[ref] = instance
        return ref

    def describe(
        self, refs: Sequence[ResourceRef], *, status_checks: bool = False
    ) -> dict[ResourceRef, ObservedResource]:
        for batch in _batches(refs):
            self._called("describe")
            if status_checks and any(self._runs(ref) for ref in batch):
                self._called("status")
        return {ref: self._observed(ref, status_checks=status_checks) for ref in refs}

    def protections(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, ObservedResource]:
        found = self.describe(refs)
        for ref, seen in found.items():
            if seen.state is not ResourceState.GONE:
                self._called("protections")
                found[ref] = replace(seen, protections=self.instances[ref].protections)
        return found

    def tagged(self, place: Place, keys: Sequence[str]) -> dict[ResourceRef, TaggedResource]:
        for _ in range(0, len(keys), BATCH):
            self._called("tagged")
        having = [
            (ref, instance)
            for ref, instance in self.instances.items()
            if ref.place == place and instance.state is not ResourceState.GONE and instance.tags.keys() & set(keys)
        ]
        return {
            ref: TaggedResource(self._observed(ref, status_checks=False), dict(instance.tags))
            for ref, instance in having
        }

    def start(self, refs: Sequence[ResourceRef]) -> Sequence[Outcome]:
        return self._ask("start", self._start, refs)

    def stop(self, refs: Sequence[ResourceRef], *, hibernate: bool = False) -> Sequence[Outcome]:
        outcomes = self._ask("stop", self._stop, refs)
        return [self._noted(outcome) for outcome in outcomes] if hibernate else outcomes

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

    def _ask(self, name: str, act: Callable[[ResourceRef], Outcome], refs: Sequence[ResourceRef]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for batch in _batches(refs):
            try:
                self._called(name)
            except ThrottledError:
                raise
            except CloudError as error:
                outcomes += [Outcome(ref, accepted=False, code=error.code, message=error.message) for ref in batch]
            else:
                outcomes += [act(ref) for ref in batch]
        return outcomes

    def _noted(self, outcome: Outcome) -> Outcome:
        able = outcome.ref in self.instances and self.instances[outcome.ref].can_hibernate
        if able or not outcome.accepted:
            return outcome
        return replace(outcome, note=f"{outcome.ref.id} was stopped instead of hibernated: UnsupportedOperation")

    def _runs(self, ref: ResourceRef) -> bool:
        return ref in self.instances and self.instances[ref].state is ResourceState.RUNNING

    def _observed(self, ref: ResourceRef, *, status_checks: bool) -> ObservedResource:
        instance = self.instances.get(ref)
        if instance is None or instance.state is ResourceState.GONE:
            return ObservedResource(ref, ResourceState.GONE)
        since = instance.running_since
        ok = self._clock.now() >= since + self._checks_after if status_checks and since is not None else None
        # Stop protection is the one that only a call of its own tells.
        shown = tuple(p for p in instance.protections if p is not Protection.STOP_PROTECTION)
        return ObservedResource(
            ref,
            instance.state,
            instance.private_ip,
            instance.tags.get("Name"),
            instance.state_reason,
            shown,
            ok,
            instance.launched_at,
            instance.can_hibernate,
            Ec2Product(ref.region, instance.instance_type),
        )

    def _start(self, ref: ResourceRef) -> Outcome:
        instance = self.instances.get(ref)
        if instance is None:
            return _refused(ref, "InvalidInstanceID.NotFound", f"The instance ID '{ref.id}' does not exist")
        if instance.refuse_start:
            return _refused(ref, *instance.refuse_start.popleft())
        if instance.state in {ResourceState.STOPPING, ResourceState.GONE}:
            words = f"The instance '{ref.id}' is not in a state from which it can be started."
            return _refused(ref, "IncorrectInstanceState", words)
        self.journal.append((self._clock.now(), "start", ref.id))
        if instance.state is ResourceState.STOPPED:
            self._boot(instance)
        return Outcome(ref, accepted=True)

    def _stop(self, ref: ResourceRef) -> Outcome:
        instance = self.instances.get(ref)
        if instance is None:
            return _refused(ref, "InvalidInstanceID.NotFound", f"The instance ID '{ref.id}' does not exist")
        if instance.refuse_stop:
            return _refused(ref, *instance.refuse_stop.popleft())
        if instance.state is ResourceState.GONE:
            words = f"The instance '{ref.id}' is not in a state from which it can be stopped."
            return _refused(ref, "IncorrectInstanceState", words)
        for protection in instance.protections:
            if protection in _UNSTOPPABLE:
                code, words = _UNSTOPPABLE[protection]
                return _refused(ref, code, words.format(ref.id))
        self.journal.append((self._clock.now(), "stop", ref.id))
        if instance.state in {ResourceState.RUNNING, ResourceState.PENDING}:
            self._halt(instance)
        return Outcome(ref, accepted=True)

    def _boot(self, instance: FakeInstance) -> None:
        self._to(instance, ResourceState.PENDING)
        instance.launched_at = self._clock.now()
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
        if self.on_change is not None:
            self.on_change(instance.ref)


def _refused(ref: ResourceRef, code: str, message: str) -> Outcome:
    return Outcome(ref, accepted=False, code=code, message=message)


def _batches(refs: Iterable[ResourceRef]) -> list[list[ResourceRef]]:
    by_place: dict[Place, list[ResourceRef]] = defaultdict(list)
    for ref in dict.fromkeys(refs):
        by_place[ref.place].append(ref)
    return [found[start : start + BATCH] for found in by_place.values() for start in range(0, len(found), BATCH)]
