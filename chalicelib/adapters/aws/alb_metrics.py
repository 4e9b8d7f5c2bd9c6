"""CloudWatch metrics of ALBs, in batches.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.cloudwatch import BATCH, CloudWatch, results
from chalicelib.domain.guards import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chalicelib.domain.alb_traffic import AlbSeries

MINUTE = timedelta(minutes=1)


class AwsAlbMetrics:
    """Implements AlbMetrics. A series that CloudWatch could not read raises: no points would look like no requests."""

    def read(
        self, series: Sequence[AlbSeries], start: datetime, end: datetime
    ) -> Mapping[AlbSeries, tuple[Sample, ...]]:
        by_region: dict[str, list[AlbSeries]] = defaultdict(list)
        for each in dict.fromkeys(series):
            by_region[each.region].append(each)
        found: dict[AlbSeries, list[Sample]] = {each: [] for each in series}
        unread: set[AlbSeries] = set()
        for region, wanted in by_region.items():
            for first in range(0, len(wanted), BATCH):
                cloudwatch = client("cloudwatch", region)
                for each, samples in _read(cloudwatch, wanted[first : first + BATCH], start, end):
                    if samples is None:
                        unread.add(each)
                    else:
                        found[each] += samples
        # Of the load balancer of what could not be read nothing is known: then its absences are no zeros either.
        blind = {each.alb_arn for each in unread}
        return {
            each: () if each.alb_arn in blind else tuple(sorted(samples, key=lambda sample: sample.start))
            for each, samples in found.items()
        }


def _read(
    cloudwatch: CloudWatch, series: Sequence[AlbSeries], start: datetime, end: datetime
) -> Iterator[tuple[AlbSeries, list[Sample] | None]]:
    """One batch, page by page: the points of a series (it may come twice), or None where it could not be read."""
    first, last = _minute(start), _minute(end)
    if first >= last:
        return
    for n, points in results(cloudwatch, [_query(n, each) for n, each in enumerate(series)], first, last):
        if points is None:
            yield series[n], None
            continue
        samples = [Sample(at, MINUTE, value) for at, value in points]
        yield series[n], [sample for sample in samples if sample.end <= end]


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _query(n: int, series: AlbSeries) -> dict[str, Any]:
    dimensions = [{"Name": "LoadBalancer", "Value": series.alb_arn.partition(":loadbalancer/")[2]}]
    if series.group_arn is not None:
        # With the load balancer: the group alone is no dimension of RequestCount.
        dimensions.append({"Name": "TargetGroup", "Value": series.group_arn.rpartition(":")[2]})
    return {
        "Id": f"m{n}",
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/ApplicationELB",
                "MetricName": "ConsumedLCUs" if series.group_arn is None else "RequestCount",
                "Dimensions": dimensions,
            },
            "Period": int(MINUTE.total_seconds()),
            "Stat": "Sum",
        },
        "ReturnData": True,
    }
