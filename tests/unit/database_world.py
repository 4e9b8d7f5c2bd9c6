"""The small world with a database instead of an instance behind the proxy, or without any proxy."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from chalicelib.domain.guards import GuardMetric
from chalicelib.domain.resources import ResourceKind, ResourceRef
from chalicelib.domain.routes import TcpRoute
from chalicelib.domain.rules import RuleState
from chalicelib.ports import Series
from tests.unit.world import World

if TYPE_CHECKING:
    import random
    from datetime import datetime

    from chalicelib.domain.events import Event, EventKind

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
IDLE = 30 * MINUTE


class DatabaseWorld(World):
    """One rule `ru_1` with the database `db-1` behind the proxy; with `proxied=False`, only CloudWatch sees it."""

    def __init__(self, chaos: random.Random | None = None, *, proxied: bool = True, **spec: Any) -> None:
        settings: dict[str, Any] = {
            "kind": ResourceKind.RDS,
            "resource_ids": ("db-1",),
            "http": (),
            "tcp": (TcpRoute("postgresql", 5432, 20001),) if proxied else (),
            "load_balancer_id": "lb_1" if proxied else None,
            "idle": IDLE,
        }
        super().__init__(chaos, **(settings | spec))
        # Added before the first look: the rule finds it stopped.
        for id_ in (settings | spec)["resource_ids"]:
            self.databases.add(id_)
        self.db = ResourceRef(ResourceKind.RDS, "us-east-1", (settings | spec)["resource_ids"][0])

    @property
    def database(self) -> Any:
        return self.databases.databases[self.db]

    @property
    def instance(self) -> Any:
        return SimpleNamespace(state=self.databases.describe([self.db])[self.db].state)

    def stops(self) -> list[datetime]:
        return [at for at, what, _ in self.databases.journal if what == "stop"]

    def starts(self) -> list[datetime]:
        return [at for at, what, _ in self.databases.journal if what == "start"]

    def told(self, kind: EventKind) -> list[Event]:
        return [event for event in self.history() if event.kind is kind]

    def connections(self, count: float | None, part: str = "db-1") -> None:
        """From now on so many are open; None: CloudWatch has no points."""
        ref = ResourceRef(ResourceKind.RDS, "us-east-1", part)
        self.metrics.put(Series(ref, GuardMetric.RDS_CONNECTIONS), count)


def available(world: DatabaseWorld) -> DatabaseWorld:
    """The same, woken and up."""
    world.pass_time(timedelta(seconds=10))
    world.wake()
    world.pass_time(8 * MINUTE)
    assert world.state is RuleState.UP
    return world
