"""What `ports.AlbMetrics` promises, of the metrics in memory and of CloudWatch on moto."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.handlers import BUILTIN_HANDLERS

from chalicelib.adapters.aws.alb_metrics import AwsAlbMetrics
from chalicelib.adapters.memory.alb_traffic import FakeAlbMetrics
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.domain.alb_traffic import AlbSeries
from chalicelib.domain.errors import CloudError, ThrottledError
from tests.contract.conftest_aws import REGION, fresh_aws
from tests.unit.alb_world import ALB_ARN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chalicelib.ports import AlbMetrics

MINUTE = timedelta(minutes=1)
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/as-ru-1/1"
REQUESTS, LCUS = AlbSeries(REGION, ALB_ARN, GROUP), AlbSeries(REGION, ALB_ARN)


class Bench(Protocol):
    """An adapter with what a test needs around it."""

    metrics: AlbMetrics
    start: datetime

    @property
    def calls(self) -> int:
        """Calls to AWS."""

    def play(self, requests: Sequence[int]) -> datetime:
        """So many come in each minute from the start on; answers when all of it is known."""

    def fail(self, error: CloudError) -> None:
        """The next call is answered so."""


class InMemory:
    def __init__(self) -> None:
        self.clock = VirtualClock(datetime(2026, 1, 5, 8, 0, tzinfo=UTC))
        self.metrics = FakeAlbMetrics(self.clock)
        self.start = self.clock.now()

    @property
    def calls(self) -> int:
        return self.metrics.calls

    def play(self, requests: Sequence[int]) -> datetime:
        for count in requests:
            for _ in range(count):
                self.metrics.request(GROUP)
            self.clock.advance(MINUTE)
        end = self.clock.now()
        self.clock.advance(self.metrics.lag)
        return end

    def fail(self, error: CloudError) -> None:
        self.metrics.fail_next.append(error)


class OnMoto:
    """moto takes points of the last two weeks by its own, real clock: the start is an hour ago."""

    def __init__(self) -> None:
        self.start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
        self.metrics = AwsAlbMetrics()
        self.calls = 0
        self._failures: list[CloudError] = []

    def play(self, requests: Sequence[int]) -> datetime:
        cloudwatch: Any = boto3.client("cloudwatch", region_name=REGION)
        alb = {"Name": "LoadBalancer", "Value": "app/as-lb-alb/0000000000000001"}
        group = {"Name": "TargetGroup", "Value": "targetgroup/as-ru-1/1"}
        points: list[dict[str, Any]] = []
        for n, count in enumerate(requests):
            at = self.start + n * MINUTE
            points.append({"MetricName": "ConsumedLCUs", "Dimensions": [alb], "Value": 0.001, "Timestamp": at})
            if count:
                point = {"MetricName": "RequestCount", "Dimensions": [alb, group], "Value": 1, "Timestamp": at}
                points += [point] * count
        cloudwatch.put_metric_data(Namespace="AWS/ApplicationELB", MetricData=points)
        return self.start + len(requests) * MINUTE

    def fail(self, error: CloudError) -> None:
        self._failures.append(error)

    def asked(self, **_: object) -> None:
        self.calls += 1
        if self._failures:
            failure = self._failures.pop(0)
            raise ClientError({"Error": {"Code": failure.code, "Message": failure.message}}, "GetMetricData")


@pytest.fixture(params=["memory", "cloudwatch"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "memory":
        yield InMemory()
        return
    found = OnMoto()
    tap = ("provide-client-params.cloudwatch.GetMetricData", found.asked)
    BUILTIN_HANDLERS.append(tap)  # every client made from here on
    try:
        with fresh_aws():
            yield found
    finally:
        BUILTIN_HANDLERS.remove(tap)


def test_requests_are_summed_by_minutes_and_a_minute_without_any_has_no_point(bench):
    end = bench.play([2, 0, 1])
    samples = bench.metrics.read([REQUESTS], bench.start, end)[REQUESTS]
    assert [(sample.start - bench.start, sample.period, sample.value) for sample in samples] == [
        (0 * MINUTE, MINUTE, 2),
        (2 * MINUTE, MINUTE, 1),
    ]


def test_the_load_balancer_itself_has_a_point_for_each_minute(bench):
    end = bench.play([2, 0, 0])
    samples = bench.metrics.read([LCUS], bench.start, end)[LCUS]
    assert [sample.start for sample in samples] == [bench.start + n * MINUTE for n in range(3)]


def test_the_minute_that_is_under_way_is_not_told(bench):
    end = bench.play([1, 1])
    second = timedelta(seconds=1)
    samples = bench.metrics.read([REQUESTS], bench.start + second, end - second)[REQUESTS]
    assert [sample.start for sample in samples] == [bench.start]


def test_a_range_without_a_whole_minute_has_no_points(bench):
    bench.play([1])
    second = timedelta(seconds=1)
    assert bench.metrics.read([REQUESTS], bench.start + second, bench.start + 2 * second) == {REQUESTS: ()}


def test_five_hundred_series_are_one_call_and_one_more_is_another(bench):
    end = bench.play([1])
    many = [AlbSeries(REGION, ALB_ARN, f"{GROUP}{n}") for n in range(500)]
    bench.metrics.read(many, bench.start, end)
    assert bench.calls == 1
    bench.metrics.read([*many, LCUS], bench.start, end)
    assert bench.calls == 3


def test_what_aws_refuses_is_raised(bench):
    end = bench.play([1])
    bench.fail(CloudError("AccessDenied", "no"))
    with pytest.raises(CloudError, match="AccessDenied"):
        bench.metrics.read([REQUESTS], bench.start, end)
    bench.fail(ThrottledError("Throttling", "slow down"))
    with pytest.raises(ThrottledError):
        bench.metrics.read([REQUESTS], bench.start, end)
