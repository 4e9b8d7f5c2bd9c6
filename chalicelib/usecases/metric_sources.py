"""Reading the metrics that are sources: only of rules that could be idle by now, and for a whole group at once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.errors import CloudError
from chalicelib.domain.guards import LAG
from chalicelib.domain.metric_sources import Watched, unread, watched
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.sources import metrics_of
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
class MetricReader:
    """Asks CloudWatch. What cannot be read proves nothing."""

    metrics: Metrics

    def read(
        self, rules: Sequence[Rule], seen: Mapping[ResourceRef, ObservedResource], now: datetime
    ) -> dict[str, Watched]:
        """The sources of each of these rules that has metrics for one; read where its idle time may be over."""
        said = {rule.id: metrics_of(rule.spec.sources, rule.spec.idle_connections) for rule in rules}
        wanted = {id_: metrics for id_, metrics in said.items() if metrics}
        asked = [rule for rule in rules if rule.id in wanted and _may_be_idle(rule, now)]
        running = {rule.id: _running(rule, seen) for rule in asked}
        series = {Series(ref, metric) for rule in asked for metric, _ in wanted[rule.id] for ref in running[rule.id]}
        points = self._points(sorted(series, key=str), asked, now) if series else {}
        found = {id_: unread(metric for metric, _ in metrics) for id_, metrics in wanted.items()}
        for rule in asked:
            found[rule.id] = watched(
                {
                    (metric, above): {ref: points.get(Series(ref, metric), ()) for ref in running[rule.id]}
                    for metric, above in wanted[rule.id]
                }
            )
        return found

    def _points(
        self, series: Sequence[Series], rules: Sequence[Rule], now: datetime
    ) -> Mapping[Series, tuple[Sample, ...]]:
        longest = max(rule.spec.idle for rule in rules)
        try:
            # A little more than the idle time: the newest points are some minutes old.
            return self.metrics.read(series, now - longest - LAG * 2, now)
        except CloudError as error:
            log.warning("metrics could not be read, so they prove nothing", extra={"error": str(error)})
            return {}


def _may_be_idle(rule: Rule, now: datetime) -> bool:
    """Metrics are paid for: those of what is down, disabled or just came up would decide nothing."""
    up_since = rule.status.up_since
    return rule.spec.enabled and up_since is not None and now >= up_since + rule.spec.idle


def _running(rule: Rule, seen: Mapping[ResourceRef, ObservedResource]) -> tuple[ResourceRef, ...]:
    """What runs of it; of a cluster, the instances."""
    own = [seen[ref] for ref in rule.refs if ref in seen]
    return tuple(part for resource in own if resource.state is ResourceState.RUNNING for part in resource.measured)
