"""What CloudWatch can answer and moto never does: pages, series that could not be read, failures half way.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib.adapters.aws.clients import made
from chalicelib.adapters.aws.cloudwatch import CloudWatchMetrics
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.guards import Guard, GuardMetric, judge
from chalicelib.domain.resources import ResourceKind, ResourceRef
from chalicelib.ports import Series
from tests.contract.conftest_aws import REGION, fresh_aws
from tests.unit.aws.conftest import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.guards import Sample
    from tests.unit.aws.conftest import Wire

ELSEWHERE = "eu-central-1"
FIVE = timedelta(minutes=5)
CPU, NETWORK, CONNECTIONS = GuardMetric.CPU, GuardMetric.NETWORK_BYTES, GuardMetric.RDS_CONNECTIONS
AT = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


def of(id_: str, metric: GuardMetric = CPU, region: str = REGION) -> Series:
    kind = ResourceKind.RDS if metric is CONNECTIONS else ResourceKind.EC2
    return Series(ResourceRef(kind, region, id_), metric)


def values(samples: Sequence[Sample]) -> list[float]:
    return [sample.value for sample in samples]


def result(n: int, *points: float, first: datetime = AT, status: str = "Complete") -> dict[str, Any]:
    """The answer to the query `n` of a call."""
    times = [first + k * FIVE for k in range(len(points))]
    return {"Id": f"m{n}", "Timestamps": times, "Values": list(points), "StatusCode": status}


@pytest.fixture
def cloudwatch(wire: Wire) -> Wire:
    """Scripted answers, of both regions."""
    for region in (REGION, ELSEWHERE):
        wire.tap("cloudwatch", region)
    return wire


def scripted(cloudwatch: Wire, *answers: dict[str, Any] | Exception) -> None:
    """The calls to come are answered so, one after the other."""
    rest = list(answers)

    def answer(_: dict[str, Any]) -> dict[str, Any]:
        now = rest.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    cloudwatch.on["GetMetricData"] = answer


def of_rds(metric: GuardMetric) -> Series:
    return Series(ResourceRef(ResourceKind.RDS, "us-east-1", "my-db"), metric)


def read(*series: Series) -> dict[Series, tuple[Sample, ...]]:
    return CloudWatchMetrics().read(series, AT, AT + timedelta(hours=1))


class TestCloudWatch:
    @pytest.mark.parametrize(
        ("series", "metric", "dimension", "statistic", "period"),
        [
            (of("i-0a"), ("AWS/EC2", "CPUUtilization"), "InstanceId", "Maximum", 300),
            (of("i-0a", NETWORK), ("AWS/EC2", "NetworkOut"), "InstanceId", "Sum", 300),
            (of("my-db", CONNECTIONS), ("AWS/RDS", "DatabaseConnections"), "DBInstanceIdentifier", "Maximum", 60),
            (of_rds(CPU), ("AWS/RDS", "CPUUtilization"), "DBInstanceIdentifier", "Maximum", 60),
            (of_rds(NETWORK), ("AWS/RDS", "NetworkTransmitThroughput"), "DBInstanceIdentifier", "Maximum", 60),
        ],
    )
    def test_each_metric_is_asked_for_by_its_own_name_statistic_and_period(
        self, cloudwatch, series, metric, dimension, statistic, period
    ):
        scripted(cloudwatch, {"MetricDataResults": []})
        read(series)
        ((_, asked),) = cloudwatch.calls
        (query,) = asked["MetricDataQueries"]
        assert query["MetricStat"] == {
            "Metric": {
                "Namespace": metric[0],
                "MetricName": metric[1],
                "Dimensions": [{"Name": dimension, "Value": series.ref.id}],
            },
            "Period": period,
            "Stat": statistic,
        }

    def test_what_a_kind_does_not_have_is_not_asked_for_and_has_no_points(self, cloudwatch):
        instance = ResourceRef(ResourceKind.EC2, "us-east-1", "i-0a")
        assert read(Series(instance, CONNECTIONS)) == {Series(instance, CONNECTIONS): ()}
        assert cloudwatch.calls == []

    def test_the_names_of_queries_are_such_as_cloudwatch_takes_whatever_the_resources_are_called(self, cloudwatch):
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataQuery.html
        scripted(cloudwatch, {"MetricDataResults": []})
        read(*[of(id_, CONNECTIONS) for id_ in ("my-db", "My_Db", "1", "-", "m0")])
        names = [query["Id"] for query in cloudwatch.calls[0][1]["MetricDataQueries"]]
        assert len(set(names)) == 5
        assert all(re.fullmatch("[a-z][a-zA-Z0-9_]*", name) for name in names)

    def test_the_start_is_put_on_a_whole_period_and_the_time_asked_for_is_within(self, cloudwatch):
        scripted(cloudwatch, {"MetricDataResults": []})
        start, end = AT + timedelta(minutes=7, seconds=13), AT + timedelta(minutes=38, seconds=41)
        CloudWatchMetrics().read([of("i-1")], start, end)
        ((_, asked),) = cloudwatch.calls
        assert asked["StartTime"] == AT + FIVE
        assert asked["EndTime"] > AT + timedelta(minutes=30)  # exclusive: the point at 8:30 ends at 8:35

    def test_the_points_of_all_pages_are_put_together(self, cloudwatch):
        scripted(
            cloudwatch,
            {"MetricDataResults": [result(0, 1, 2, status="PartialData")], "NextToken": "2"},
            {"MetricDataResults": [result(1, 7)], "NextToken": "3"},
            {"MetricDataResults": [result(0, 3, first=AT + 2 * FIVE)]},
        )
        found = read(of("i-1"), of("i-2"))
        assert [values(samples) for samples in found.values()] == [[1, 2, 3], [7]]
        assert [asked.get("NextToken") for _, asked in cloudwatch.calls] == [None, "2", "3"]
        assert len({str(asked["MetricDataQueries"]) for _, asked in cloudwatch.calls}) == 1

    @pytest.mark.parametrize("status", ["Forbidden", "InternalError", "PartialData"])
    def test_a_series_that_was_not_read_has_no_points_and_the_others_have_theirs(self, cloudwatch, status):
        scripted(cloudwatch, {"MetricDataResults": [result(0, 5), result(1, status=status), result(2, 6)]})
        assert [values(samples) for samples in read(of("i-1"), of("i-2"), of("i-3")).values()] == [[5], [], [6]]

    def test_a_series_that_the_answer_leaves_out_has_no_points(self, cloudwatch):
        too_many = {"Code": "MaxMetricsExceeded", "Value": "Maximum number of allowed metrics exceeded"}
        scripted(cloudwatch, {"MetricDataResults": [result(1, 6)], "Messages": [too_many]})
        assert [values(samples) for samples in read(of("i-1"), of("i-2")).values()] == [[], [6]]

    def test_an_internal_error_is_asked_again_with_the_token_that_came_with_it(self, cloudwatch):
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataResult.html
        scripted(
            cloudwatch,
            {"MetricDataResults": [result(0, status="InternalError")], "NextToken": "again"},
            {"MetricDataResults": [result(0, 4)]},
        )
        assert values(read(of("i-1"))[of("i-1")]) == [4]

    @pytest.mark.parametrize("missing", [{0, 1, 2}, {5}, {9, 10, 11}])
    def test_a_series_read_in_part_is_never_taken_for_quiet(self, cloudwatch, missing):
        """Of an hour of silence some points came: `judge` needs all of the window, so there is no verdict."""
        points = {AT + n * FIVE: 0.0 for n in range(12) if n not in missing}
        part = {"Id": "m0", "StatusCode": "PartialData", "Timestamps": list(points), "Values": list(points.values())}
        scripted(cloudwatch, {"MetricDataResults": [part]})
        samples = read(of("i-1"))[of("i-1")]
        assert judge(Guard(CPU, 5, timedelta(hours=1)), {of("i-1").ref: samples}, AT + timedelta(hours=1)).vetoes

    @pytest.mark.parametrize("code", ["Throttling", "ThrottlingException"])
    def test_throttling_on_a_later_page_gives_no_half_an_answer(self, cloudwatch, code):
        first = {"MetricDataResults": [result(0, 1, status="PartialData")], "NextToken": "2"}
        scripted(cloudwatch, first, refusal(code, operation="GetMetricData"))
        with pytest.raises(ThrottledError):
            read(of("i-1"))

    def test_a_failure_in_one_region_gives_no_half_an_answer_either(self, cloudwatch):
        scripted(cloudwatch, {"MetricDataResults": [result(0, 1)]}, refusal("AccessDenied", operation="GetMetricData"))
        with pytest.raises(CloudError, match="AccessDenied"):
            read(of("i-1"), of("i-1", region=ELSEWHERE))

    def test_a_broken_way_to_aws_is_an_error_that_a_retry_can_help(self, cloudwatch):
        scripted(cloudwatch, ReadTimeoutError(endpoint_url="https://monitoring.us-east-1.amazonaws.com"))
        with pytest.raises(CloudError) as caught:
            read(of("i-1"))
        assert caught.value.retryable

    def test_a_series_that_cloudwatch_has_never_heard_of_has_no_points(self):
        with fresh_aws():
            assert read(of("i-1")) == {of("i-1"): ()}

    def test_a_series_given_501_times_is_asked_for_once(self, cloudwatch):
        scripted(cloudwatch, {"MetricDataResults": []})
        read(*[of("i-1")] * 501)
        ((_, asked),) = cloudwatch.calls
        assert len(asked["MetricDataQueries"]) == 1

    def test_no_client_is_made_before_it_is_needed_and_none_for_another_region(self):
        with fresh_aws():
            metrics = CloudWatchMetrics()
            metrics.read([], AT, AT + FIVE)
            assert made.cache_info().currsize == 0
            metrics.read([of("i-1")], AT, AT + FIVE)
            assert made.cache_info().currsize == 1
