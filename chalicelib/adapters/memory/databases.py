"""RDS in memory: slow starts and stops, AWS's own statuses, and the restart after seven days, on a virtual clock.

moto's databases are stopped and available at once, never busy, and stay stopped for ever.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.database_states import meaning
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.membership import TaggedResource
from chalicelib.domain.products import RdsProduct
from chalicelib.domain.resources import (
    CLUSTER,
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
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from chalicelib.adapters.memory.clock import VirtualClock
    from chalicelib.domain.upkeep import MaintenanceWindow

LONGEST_STOP = timedelta(days=7)


@dataclass(slots=True)
class FakeDatabase:
    """One DB instance or cluster. `boot` and `halt` are how long AWS takes.

    `pending`: something is to be done in its maintenance window. `parts`: names of a cluster's instances.
    `restarts_at`: when AWS starts it, while it is stopped.
    """

    ref: ResourceRef
    status: str = "stopped"
    engine: str = "postgres"
    boot: timedelta = timedelta(minutes=6)
    halt: timedelta = timedelta(minutes=3)
    protections: tuple[Protection, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    window: MaintenanceWindow | None = None
    pending: bool = False
    parts: tuple[str, ...] = ()
    restarts_at: datetime | None = None
    epoch: int = 0
    refuse_start: deque[tuple[str, str]] = field(default_factory=deque)
    refuse_stop: deque[tuple[str, str]] = field(default_factory=deque)


class FakeDatabases:
    """`ports.Compute` of kind RDS on a virtual clock.

    `calls` counts what AWS would be asked, by name; `journal` has what it accepted, and when; `fail_next` has, by name,
    the errors that the next calls are answered with. `on_change` hears of each change, as EventBridge: the ref, and
    whether it is AWS's own restart.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.databases: dict[ResourceRef, FakeDatabase] = {}
        self.calls: Counter[str] = Counter()
        self.journal: list[tuple[datetime, str, str]] = []
        self.fail_next: dict[str, deque[CloudError]] = defaultdict(deque)
        self.on_change: Callable[[ResourceRef, bool], None] | None = None

    def add(
        self, id_: str, region: str = "us-east-1", connector: Connector = OWN_ACCOUNT, **settings: object
    ) -> ResourceRef:
        """A new database, stopped unless `status` says otherwise; a cluster where its id begins with CLUSTER."""
        ref = ResourceRef(ResourceKind.RDS, region, id_, connector)
        database = FakeDatabase(ref)
        for name, value in settings.items():
            setattr(database, name, value)
        self.databases[ref] = database
        if database.status == "stopped":
            self._to(database, "stopped")
        return ref

    def describe(
        self, refs: Sequence[ResourceRef], *, status_checks: bool = False
    ) -> dict[ResourceRef, ObservedResource]:
        for place in {ref.place for ref in refs}:
            self._called("describe")
            if any(ref.place == place and ref.id.startswith(CLUSTER) for ref in refs):
                self._called("describe clusters")
        return {ref: self._observed(ref, status_checks=status_checks) for ref in refs}

    def protections(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, ObservedResource]:
        return self.describe(refs)

    def tagged(self, place: Place, keys: Sequence[str]) -> dict[ResourceRef, TaggedResource]:
        if not keys:
            return {}
        self._called("describe")
        self._called("describe clusters")
        return {
            ref: TaggedResource(self._observed(ref), dict(database.tags))
            for ref, database in self.databases.items()
            if ref.place == place
            and meaning(database.status).state is not ResourceState.GONE
            and database.tags.keys() & set(keys)
        }

    def start(self, refs: Sequence[ResourceRef]) -> Sequence[Outcome]:
        return [self._ask("start", self._start, ref) for ref in dict.fromkeys(refs)]

    def stop(self, refs: Sequence[ResourceRef], *, hibernate: bool = False) -> Sequence[Outcome]:
        del hibernate  # no database does
        return [self._ask("stop", self._stop, ref) for ref in dict.fromkeys(refs)]

    # A person at the console, and AWS itself

    def start_by_hand(self, ref: ResourceRef) -> None:
        """Somebody starts it outside AutoStop."""
        self._boot(self.databases[ref])

    def stop_by_hand(self, ref: ResourceRef) -> None:
        """Somebody stops it outside AutoStop."""
        self._halt(self.databases[ref])

    def remove(self, ref: ResourceRef) -> None:
        """Gone for good."""
        self._to(self.databases[ref], "deleting")

    def becomes(self, ref: ResourceRef, status: str, for_: timedelta | None = None) -> None:
        """It gets into a status by AWS's doing; available again after `for_`."""
        database = self.databases[ref]
        self._to(database, status)
        if for_ is not None:
            self._later(database, for_, "available")

    # What AWS does

    def _called(self, name: str) -> None:
        self.calls[name] += 1
        if self.fail_next[name]:
            raise self.fail_next[name].popleft()

    def _ask(self, name: str, act: Callable[[ResourceRef], Outcome], ref: ResourceRef) -> Outcome:
        try:
            self._called(name)
        except ThrottledError:
            raise
        except CloudError as error:
            return Outcome(ref, accepted=False, code=error.code, message=error.message)
        return act(ref)

    def _observed(self, ref: ResourceRef, *, status_checks: bool = False) -> ObservedResource:
        database = self.databases.get(ref)
        means = meaning(database.status) if database is not None else None
        if database is None or means is None or means.state is ResourceState.GONE:
            return ObservedResource(ref, ResourceState.GONE)
        runs = means.state is ResourceState.RUNNING
        busy = means.busy
        if runs and busy is None and database.pending and database.window and database.window.ends(self._clock.now()):
            busy = "has maintenance in its window, which is now or soon"
        return ObservedResource(
            ref,
            means.state,
            name=ref.id,
            state_reason=None if database.status in {"available", "stopped"} else database.status,
            protections=database.protections,
            status_ok=means.serves if status_checks and runs else None,
            product=RdsProduct(ref.region, "db.t4g.micro", database.engine, "postgresql-license"),
            endpoint=_endpoint(ref) if database.status != "creating" else None,
            busy=busy,
            fault=means.fault,
            restarts_at=database.restarts_at,
            parts=tuple(ResourceRef(ref.kind, ref.region, part, ref.connector) for part in database.parts),
        )

    def _start(self, ref: ResourceRef) -> Outcome:
        database = self.databases.get(ref)
        if database is None:
            return _unknown(ref)
        if database.refuse_start:
            return _refused(ref, *database.refuse_start.popleft())
        if database.status != "stopped":
            return _wrong_state(ref, database.status, "stopped")
        self.journal.append((self._clock.now(), "start", ref.id))
        self._boot(database)
        return Outcome(ref, accepted=True)

    def _stop(self, ref: ResourceRef) -> Outcome:
        database = self.databases.get(ref)
        if database is None:
            return _unknown(ref)
        if database.refuse_stop:
            return _refused(ref, *database.refuse_stop.popleft())
        if database.status != "available" or database.protections:
            return _wrong_state(ref, database.status, "available")
        self.journal.append((self._clock.now(), "stop", ref.id))
        self._halt(database)
        return Outcome(ref, accepted=True)

    def _boot(self, database: FakeDatabase, *, by_aws: bool = False) -> None:
        self._to(database, "starting", by_aws=by_aws)
        self._later(database, database.boot, "available")

    def _halt(self, database: FakeDatabase) -> None:
        self._to(database, "stopping")
        self._later(database, database.halt, "stopped")

    def _later(self, database: FakeDatabase, delay: timedelta, status: str) -> None:
        epoch = database.epoch

        def arrive() -> None:
            if database.epoch == epoch:  # nothing else happened to it meanwhile
                self._to(database, status)

        self._clock.at(self._clock.now() + delay, arrive)

    def _to(self, database: FakeDatabase, status: str, *, by_aws: bool = False) -> None:
        database.epoch += 1
        database.status = status
        database.restarts_at = None
        if status == "stopped":
            database.restarts_at = self._clock.now() + LONGEST_STOP
            epoch = database.epoch

            def restart() -> None:
                if database.epoch == epoch:
                    self._boot(database, by_aws=True)

            self._clock.at(database.restarts_at, restart)
        if self.on_change is not None:
            self.on_change(database.ref, by_aws)


def _endpoint(ref: ResourceRef) -> str:
    return f"{ref.id.removeprefix(CLUSTER)}.abc.{ref.region}.rds.amazonaws.com"


def _refused(ref: ResourceRef, code: str, message: str) -> Outcome:
    return Outcome(ref, accepted=False, code=code, message=message)


def _unknown(ref: ResourceRef) -> Outcome:
    what = "DBCluster" if ref.id.startswith(CLUSTER) else "DBInstance"
    code = f"{what}NotFoundFault" if what == "DBCluster" else f"{what}NotFound"
    return _refused(ref, code, f"{what} {ref.id.removeprefix(CLUSTER)} not found.")


def _wrong_state(ref: ResourceRef, status: str, needed: str) -> Outcome:
    code = "InvalidDBClusterStateFault" if ref.id.startswith(CLUSTER) else "InvalidDBInstanceState"
    return _refused(ref, code, f"{ref.id.removeprefix(CLUSTER)} is {status}, not {needed}.")
