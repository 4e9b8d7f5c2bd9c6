"""What CloudWatch does and moto does not: pages, and series that it could not read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.adapters.aws.alb_metrics import AwsAlbMetrics
from chalicelib.domain.alb_traffic import AlbSeries
from tests.unit.alb_world import ALB_ARN

if TYPE_CHECKING:
    from tests.unit.aws.conftest import Wire

AT = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/as-ru-1/1"
REQUESTS, LCUS = AlbSeries("us-east-1", ALB_ARN, GROUP), AlbSeries("us-east-1", ALB_ARN)
ELSEWHERE = AlbSeries("us-east-1", f"{ALB_ARN}9")


def result(n: int, *minutes: int, status: str = "Complete") -> dict[str, Any]:
    times = [AT + minute * MINUTE for minute in minutes]
    return {"Id": f"m{n}", "Timestamps": times, "Values": [1.0] * len(times), "StatusCode": status}


def test_points_of_all_pages_are_joined(wire: Wire) -> None:
    wire.tap("cloudwatch")

    def answer(params: dict[str, Any]) -> dict[str, Any]:
        if "NextToken" in params:
            return {"MetricDataResults": [result(0, 1)]}
        return {"MetricDataResults": [result(0, 0, status="PartialData")], "NextToken": "more"}

    wire.on["GetMetricData"] = answer
    samples = AwsAlbMetrics().read([LCUS], AT, AT + 5 * MINUTE)[LCUS]
    assert [sample.start for sample in samples] == [AT, AT + MINUTE]


@pytest.mark.parametrize("status", ["Forbidden", "InternalError"])
def test_requests_that_could_not_be_read_are_no_zeros_so_nothing_of_their_load_balancer_is_told(
    wire: Wire, status: str
) -> None:
    wire.tap("cloudwatch")
    wire.on["GetMetricData"] = lambda _: {
        "MetricDataResults": [result(0, status=status), result(1, 0, 1), result(2, 0, 1)]
    }
    found = AwsAlbMetrics().read([REQUESTS, LCUS, ELSEWHERE], AT, AT + 5 * MINUTE)
    assert found[REQUESTS] == found[LCUS] == ()
    assert len(found[ELSEWHERE]) == 2


def test_it_is_asked_by_whole_minutes_with_the_names_that_the_metrics_have(wire: Wire) -> None:
    wire.tap("cloudwatch")
    wire.on["GetMetricData"] = lambda _: {"MetricDataResults": []}
    AwsAlbMetrics().read([REQUESTS, LCUS], AT + timedelta(seconds=7), AT + 5 * MINUTE + timedelta(seconds=7))
    (asked,) = wire.asked("GetMetricData")
    assert (asked["StartTime"], asked["EndTime"]) == (AT, AT + 5 * MINUTE)
    metrics = [query["MetricStat"]["Metric"] for query in asked["MetricDataQueries"]]
    alb = {"Name": "LoadBalancer", "Value": "app/as-lb-alb/0000000000000001"}
    assert [(metric["MetricName"], metric["Dimensions"]) for metric in metrics] == [
        ("RequestCount", [alb, {"Name": "TargetGroup", "Value": "targetgroup/as-ru-1/1"}]),
        ("ConsumedLCUs", [alb]),
    ]
