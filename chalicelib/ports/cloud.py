"""AWS: resources, the work queue, metrics, sessions and prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from chalicelib.domain.costs import HourlyCost
    from chalicelib.domain.guards import GuardMetric, Sample
    from chalicelib.domain.membership import TaggedResource
    from chalicelib.domain.products import Product
    from chalicelib.domain.resources import ObservedResource, Outcome, Place, ResourceRef


class Compute(Protocol):
    """The resources of one kind in AWS. Start and stop are requests: a later `describe` tells what became of them."""

    def describe(
        self, refs: Sequence[ResourceRef], *, status_checks: bool = False
    ) -> dict[ResourceRef, ObservedResource]:
        """Every ref is in the answer; what AWS does not know is GONE. At most ceil(n / 200) calls a place.

        With `status_checks`, `status_ok` is filled. Raises CloudError, ThrottledError.
        """
        ...

    def protections(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, ObservedResource]:
        """As `describe`, with the protections that cost a call of their own for each resource (disableApiStop)."""
        ...

    def tagged(self, place: Place, keys: Sequence[str]) -> dict[ResourceRef, TaggedResource]:
        """Everything there that has any of these tag keys, whatever its values, and is not gone, with all its tags.

        One paginated call for each 200 keys. Raises CloudError, ThrottledError.
        """
        ...

    def start(self, refs: Sequence[ResourceRef]) -> Sequence[Outcome]:
        """Ask AWS to start them; one refused resource never fails the others. Raises ThrottledError."""
        ...

    def stop(self, refs: Sequence[ResourceRef], *, hibernate: bool = False) -> Sequence[Outcome]:
        """Ask AWS to stop them; one refused resource never fails the others. Raises ThrottledError.

        With `hibernate`, what AWS does not hibernate is stopped, and the outcome's `note` says so with AWS's words.
        """
        ...


@dataclass(frozen=True, slots=True)
class ReconcileRequest:
    """One message to the worker: up to 500 rules of one place.

    It is dropped after `expires_at`: a stale request must not act late, and whatever is still due is asked for
    again by the next tick. `attempt` counts how often its only rule has raised already.
    """

    place: Place
    rule_ids: tuple[str, ...]
    expires_at: datetime
    cause: str
    attempt: int = 0


class WorkQueue(Protocol):
    """The queue between whoever notices and the worker."""

    def send(self, requests: Sequence[ReconcileRequest], delay: timedelta | None = None) -> None:
        """Deliver at least once, not before `delay` (whole seconds, at most 15 minutes). Raises CloudError."""
        ...


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one resource, as a guard names it."""

    ref: ResourceRef
    metric: GuardMetric


class Metrics(Protocol):
    """CloudWatch metrics of resources, batched: they are paid for each series asked for, not for each call."""

    def read(self, series: Sequence[Series], start: datetime, end: datetime) -> dict[Series, tuple[Sample, ...]]:
        """The points in [start, end), oldest first; a series without any has none: that is not zero.

        CPU in percent (the maximum of each period), network_bytes in bytes a minute sent, rds_connections as the
        maximum. At most ceil(series / 500) calls a place and page. Raises CloudError, ThrottledError.
        """
        ...


class Sessions(Protocol):
    """Open Session Manager sessions."""

    def open(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, int]:
        """How many are open on each of these instances; every ref is in the answer. Raises CloudError."""
        ...


class Prices(Protocol):
    """What AWS asks for an hour of a running resource: on demand, in USD, without any discount of the account."""

    def hourly(self, product: Product) -> HourlyCost:
        """The price, or in words why there is none to be known; both can be up to 24 hours old.

        Raises CloudError, ThrottledError; what was raised is not remembered.
        """
        ...
