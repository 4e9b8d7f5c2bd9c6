"""Reading DatabaseConnections: only of rules that could be idle by now, and for a whole group at once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.connections import Watched, unread, watched
from chalicelib.domain.errors import CloudError
from chalicelib.domain.guards import LAG, GuardMetric
from chalicelib.domain.resources import ResourceState
from chalicelib.ports import Series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.guards import Sample
    from chalicelib.domain.resources import ObservedResource, ResourceRef
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import Metrics

log = logging.getLogger(__name__)


@dataclass(slots=True)
class ConnectionReader:
    """Asks CloudWatch. What cannot be read proves nothing."""

    metrics: Metrics

    def read(
        self, rules: Sequence[Rule], seen: Mapping[ResourceRef, ObservedResource], now: datetime
    ) -> dict[str, Watched]:
        """The source of each of these rules that has one; read where its idle time may be over, else only named."""
        wanted = [rule for rule in rules if rule.spec.idle_connections is not None]
        asked = {rule.id: _running(rule, seen) for rule in wanted if _may_be_idle(rule, now)}
        series = sorted({_series(ref) for refs in asked.values() for ref in refs}, key=str)
        points = self._points(series, [rule for rule in wanted if rule.id in asked], now) if series else {}
        found = {rule.id: unread() for rule in wanted}
        for rule in wanted:
            if rule.id in asked:
                of_each = {ref: points.get(_series(ref), ()) for ref in asked[rule.id]}
                found[rule.id] = watched(of_each, rule.spec.idle_connections or 0)
        return found

    def _points(
        self, series: Sequence[Series], rules: Sequence[Rule], now: datetime
    ) -> Mapping[Series, tuple[Sample, ...]]:
        longest = max(rule.spec.idle for rule in rules)
        try:
            # A little more than the idle time: the newest points are some minutes old.
            return self.metrics.read(series, now - longest - LAG * 2, now)
        except CloudError as error:
            log.warning("connections could not be read, so they prove nothing", extra={"error": str(error)})
            return {}


def _series(ref: ResourceRef) -> Series:
    return Series(ref, GuardMetric.RDS_CONNECTIONS)


def _may_be_idle(rule: Rule, now: datetime) -> bool:
    """Metrics are paid for: those of what is down, disabled or just came up would decide nothing."""
    up_since = rule.status.up_since
    return rule.spec.enabled and up_since is not None and now >= up_since + rule.spec.idle


def _running(rule: Rule, seen: Mapping[ResourceRef, ObservedResource]) -> tuple[ResourceRef, ...]:
    """What runs of it; of a cluster, the instances."""
    own = [seen[ref] for ref in rule.refs if ref in seen]
    return tuple(part for resource in own if resource.state is ResourceState.RUNNING for part in resource.measured)
