"""What tells of the use of a rule that no load balancer carries. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.domain.guards import GuardMetric

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORTEST_BY_METRIC = timedelta(minutes=15)
"""An idle time that CloudWatch can prove: a point every five minutes, told up to ten minutes late."""


WATCHED_ONLY = (
    "Its use is told up to ten minutes late, and nothing but people, schedules and rules that need it start it: who "
    "comes while it is down finds nobody."
)


class SourceKind(StrEnum):
    """`flow_logs`: accepted traffic to its ports. `cpu`, `network_bytes`: CloudWatch's, above a threshold."""

    FLOW_LOGS = "flow_logs"
    CPU = "cpu"
    NETWORK_BYTES = "network_bytes"


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One source. `above` in percent or bytes a minute; `ports` of the instances, for flow logs."""

    kind: SourceKind
    above: float = 0
    ports: tuple[int, ...] = ()


METRICS = {SourceKind.CPU: GuardMetric.CPU, SourceKind.NETWORK_BYTES: GuardMetric.NETWORK_BYTES}


def metrics_of(sources: Iterable[SourceSpec], idle_connections: int | None) -> tuple[tuple[GuardMetric, float], ...]:
    """The metrics that are sources, each with what is a use if it is above it."""
    found = [(METRICS[source.kind], source.above) for source in sources if source.kind in METRICS]
    if idle_connections is not None:
        found.append((GuardMetric.RDS_CONNECTIONS, float(idle_connections)))
    return tuple(found)
