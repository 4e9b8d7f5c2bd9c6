"""CloudWatch metrics of resources, in batches.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.domain.guards import GuardMetric, Sample
from chalicelib.domain.resources import ResourceKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chalicelib.domain.resources import Connector
    from chalicelib.ports import Series

BATCH = 500
"""Metrics a call."""

UNREAD = frozenset({"Forbidden", "InternalError"})
"""Whatever comes with these is not the metric; PartialData is true as far as it goes, and the rest is a hole.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataResult.html
"""

CloudWatch: TypeAlias = Any
"""A client of it: boto3-stubs for CloudWatch are not among what we install."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a metric comes from. Five minutes for EC2: basic monitoring has no shorter ones, detailed adds up to them.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html
    """

    namespace: str
    name: str
    dimension: str
    statistic: str
    period: timedelta
    scale: float = 1.0


_MINUTE = timedelta(minutes=1)
_SOURCES = {
    (ResourceKind.EC2, GuardMetric.CPU): _Source(
        "AWS/EC2", "CPUUtilization", "InstanceId", "Maximum", timedelta(minutes=5)
    ),
    # A sum over five minutes, told as bytes a minute.
    (ResourceKind.EC2, GuardMetric.NETWORK_BYTES): _Source(
        "AWS/EC2", "NetworkOut", "InstanceId", "Sum", timedelta(minutes=5), 1 / 5
    ),
    (ResourceKind.RDS, GuardMetric.CPU): _Source(
        "AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", "Maximum", _MINUTE
    ),
    # Bytes a second, told as bytes a minute: of the maximum, as a use may be short.
    (ResourceKind.RDS, GuardMetric.NETWORK_BYTES): _Source(
        "AWS/RDS", "NetworkTransmitThroughput", "DBInstanceIdentifier", "Maximum", _MINUTE, 60
    ),
    (ResourceKind.RDS, GuardMetric.RDS_CONNECTIONS): _Source(
        "AWS/RDS", "DatabaseConnections", "DBInstanceIdentifier", "Maximum", _MINUTE
    ),
}


class CloudWatchMetrics:
    """Implements Metrics. A series that CloudWatch could not read has no points: that is not zero."""

    def read(self, series: Sequence[Series], start: datetime, end: datetime) -> dict[Series, tuple[Sample, ...]]:
        by_place: dict[tuple[str, Connector], list[Series]] = defaultdict(list)
        # What a kind does not have, as connections of an instance, has no points: its guard vetoes.
        for each in [s for s in dict.fromkeys(series) if (s.ref.kind, s.metric) in _SOURCES]:
            by_place[each.ref.region, each.ref.connector].append(each)
        found: dict[Series, list[Sample]] = {each: [] for each in series}
        for (region, connector), wanted in by_place.items():
            for first in range(0, len(wanted), BATCH):
                for each, samples in _read(
                    client("cloudwatch", region, connector), wanted[first : first + BATCH], start, end
                ):
                    found[each] += samples
        return {each: tuple(sorted(samples, key=lambda sample: sample.start)) for each, samples in found.items()}


def _read(
    cloudwatch: CloudWatch, series: Sequence[Series], start: datetime, end: datetime
) -> Iterator[tuple[Series, list[Sample]]]:
    """One batch, page by page. A metric with points on two pages comes twice."""
    # CloudWatch asks for times on whole periods, and answers faster for them.
    first, last = _floor(start, timedelta(minutes=5)), _floor(end, timedelta(minutes=1))
    if first >= last:  # what CloudWatch refuses: no period is whole in between
        return
    for n, points in results(cloudwatch, [_query(n, each) for n, each in enumerate(series)], first, last):
        source = _SOURCES[series[n].ref.kind, series[n].metric]
        samples = [Sample(at, source.period, value * source.scale) for at, value in points or ()]
        # The period that is under way is not whole yet, and one from before `start` was not asked for.
        yield series[n], [sample for sample in samples if start <= sample.start and sample.end <= end]


def results(
    cloudwatch: CloudWatch, queries: Sequence[dict[str, Any]], start: datetime, end: datetime
) -> Iterator[tuple[int, list[tuple[datetime, float]] | None]]:
    """One GetMetricData, page by page: the number of a query and its points, None where it could not be read.

    The ids of the queries are m0, m1 …; one whose points are on two pages comes twice.
    """
    request: dict[str, Any] = {
        "MetricDataQueries": queries,
        "StartTime": start,
        "EndTime": end,
        "ScanBy": "TimestampAscending",
    }
    # The paginator refuses a token that comes twice, where a loop of our own would never end.
    pages: Iterator[dict[str, Any]] = iter(cloudwatch.get_paginator("get_metric_data").paginate(**request))
    while True:
        with translated():
            answer = next(pages, None)
        if answer is None:
            return
        for result in answer["MetricDataResults"]:
            n = int(result["Id"].removeprefix("m"))
            if result.get("StatusCode") in UNREAD:
                yield n, None
                continue
            points = zip(result["Timestamps"], result["Values"], strict=True)
            yield n, [(at.astimezone(UTC), value) for at, value in points]


def _floor(at: datetime, period: timedelta) -> datetime:
    return at - (at - _EPOCH) % period


def _query(n: int, series: Series) -> dict[str, Any]:
    source = _SOURCES[series.ref.kind, series.metric]
    return {
        "Id": f"m{n}",
        "MetricStat": {
            "Metric": {
                "Namespace": source.namespace,
                "MetricName": source.name,
                "Dimensions": [{"Name": source.dimension, "Value": series.ref.id}],
            },
            "Period": int(source.period.total_seconds()),
            "Stat": source.statistic,
        },
        "ReturnData": True,
    }
