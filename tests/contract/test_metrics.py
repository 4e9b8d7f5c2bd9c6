"""What `ports.Metrics` promises, of the metrics in memory and of CloudWatch on moto.

What moto never does (pages, series that could not be read) is in tests/unit/aws/test_cloudwatch.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.handlers import BUILTIN_HANDLERS

from chalicelib.adapters.aws.cloudwatch import CloudWatchMetrics
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.adapters.memory.signals import FakeMetrics
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.guards import GuardMetric
from chalicelib.domain.resources import ResourceKind, ResourceRef
from chalicelib.ports import Series
from tests.contract.conftest_aws import REGION, fresh_aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.domain.guards import Sample
    from chalicelib.ports import Metrics

ELSEWHERE = "eu-central-1"
MINUTE, FIVE = timedelta(minutes=1), timedelta(minutes=5)
CPU, NETWORK, CONNECTIONS = GuardMetric.CPU, GuardMetric.NETWORK_BYTES, GuardMetric.RDS_CONNECTIONS
AT = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)

Told = Mapping[Series, Sequence[float | None]]
"""The value of each five minutes from the start on, in the unit of the port; None where CloudWatch got nothing."""


def of(id_: str, metric: GuardMetric = CPU, region: str = REGION) -> Series:
    kind = ResourceKind.RDS if metric is CONNECTIONS else ResourceKind.EC2
    return Series(ResourceRef(kind, region, id_), metric)


class Bench(Protocol):
    """An adapter with what a test needs around it."""

    metrics: Metrics
    start: datetime

    @property
    def calls(self) -> int:
        """Calls to AWS."""

    def play(self, told: Told) -> datetime:
        """Let these values happen; answers when the last of them has ended."""

    def fail(self, error: CloudError) -> None:
        """The next call is answered so."""


class InMemory:
    def __init__(self) -> None:
        self.clock = VirtualClock(AT)
        self.metrics = FakeMetrics(self.clock)
        self.start = self.clock.now()

    @property
    def calls(self) -> int:
        return self.metrics.calls

    def play(self, told: Told) -> datetime:
        for values in zip(*told.values(), strict=True):
            for series, value in zip(told, values, strict=True):
                self.metrics.put(series, value)
            self.clock.advance(FIVE)
        return self.clock.now()

    def fail(self, error: CloudError) -> None:
        self.metrics.fail_next.append(error)


class OnMoto:
    """moto takes points of the last two weeks by its own, real clock: the start is an hour ago."""

    def __init__(self) -> None:
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        self.start = now - timedelta(hours=1, minutes=now.minute % 5)
        self.metrics = CloudWatchMetrics()
        self.calls = 0
        self._failures: list[CloudError] = []

    def play(self, told: Told) -> datetime:
        for series, values in told.items():
            cloudwatch: Any = boto3.client("cloudwatch", region_name=series.ref.region)
            for n, value in enumerate(values):
                if value is not None:
                    namespace, points = _published(series, self.start + n * FIVE, value)
                    cloudwatch.put_metric_data(Namespace=namespace, MetricData=points)
        return self.start + max(len(values) for values in told.values()) * FIVE

    def fail(self, error: CloudError) -> None:
        self._failures.append(error)

    def asked(self, **_: object) -> None:
        self.calls += 1
        if self._failures:
            failure = self._failures.pop(0)
            raise ClientError({"Error": {"Code": failure.code, "Message": failure.message}}, "GetMetricData")


def _published(series: Series, at: datetime, value: float) -> tuple[str, list[dict[str, Any]]]:
    """What the service of the resource tells CloudWatch in five minutes: EC2 once, RDS once a minute.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html
    """
    if series.metric is CONNECTIONS:
        dimension = {"Name": "DBInstanceIdentifier", "Value": series.ref.id}
        minutes = [at + n * MINUTE for n in range(5)]
        point = {"MetricName": "DatabaseConnections", "Dimensions": [dimension], "Value": value}
        return "AWS/RDS", [point | {"Timestamp": minute} for minute in minutes]
    dimension = {"Name": "InstanceId", "Value": series.ref.id}
    if series.metric is CPU:
        return "AWS/EC2", [{"MetricName": "CPUUtilization", "Dimensions": [dimension], "Value": value, "Timestamp": at}]
    return "AWS/EC2", [{"MetricName": "NetworkOut", "Dimensions": [dimension], "Value": value * 5, "Timestamp": at}]


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


def values(samples: Sequence[Sample]) -> list[float]:
    return [sample.value for sample in samples]


class TestPoints:
    @pytest.mark.parametrize("metric", [CPU, NETWORK])
    def test_of_an_instance_they_come_oldest_first_each_with_its_five_minutes(self, bench, metric):
        end = bench.play({of("i-1", metric): [1, 20, 3]})
        samples = bench.metrics.read([of("i-1", metric)], bench.start, end)[of("i-1", metric)]
        assert values(samples) == [1, 20, 3]
        assert [sample.start for sample in samples] == [bench.start + n * FIVE for n in range(3)]
        assert {sample.period for sample in samples} == {FIVE}
        assert {sample.start.utcoffset() for sample in samples} == {timedelta(0)}

    def test_of_a_database_they_cover_the_whole_time_without_a_hole(self, bench):
        end = bench.play({of("db-1", CONNECTIONS): [4, 4, 4]})
        samples = bench.metrics.read([of("db-1", CONNECTIONS)], bench.start, end)[of("db-1", CONNECTIONS)]
        assert set(values(samples)) == {4}
        assert samples[0].start == bench.start
        assert [sample.start for sample in samples[1:]] == [sample.end for sample in samples[:-1]]
        assert samples[-1].end == end

    def test_a_missing_one_is_a_hole_and_a_series_of_holes_has_none(self, bench):
        holes, nothing = of("i-1"), of("i-2")
        end = bench.play({holes: [1, None, 3], nothing: [None, None, None]})
        found = bench.metrics.read([holes, nothing], bench.start, end)
        assert [(sample.start, sample.value) for sample in found[holes]] == [
            (bench.start, 1),
            (bench.start + 2 * FIVE, 3),
        ]
        assert found[nothing] == ()

    def test_zero_is_a_value_and_not_a_hole(self, bench):
        end = bench.play({of("i-1", NETWORK): [0, 0]})
        assert values(bench.metrics.read([of("i-1", NETWORK)], bench.start, end)[of("i-1", NETWORK)]) == [0, 0]

    def test_a_period_that_began_before_the_start_or_is_under_way_at_the_end_is_not_told(self, bench):
        end = bench.play({of("i-1"): [1, 2, 3, 4]})
        second = timedelta(seconds=1)
        samples = bench.metrics.read([of("i-1")], bench.start + second, end - second)[of("i-1")]
        assert values(samples) == [2, 3]

    def test_metrics_resources_and_regions_are_kept_apart(self, bench):
        told = {
            of("i-1"): [1],
            of("i-1", NETWORK): [2],
            of("i-2"): [3],
            of("i-1", CPU, ELSEWHERE): [4],
            of("db-1", CONNECTIONS): [5],
        }
        end = bench.play(told)
        found = bench.metrics.read(list(told), bench.start, end)
        assert list(found) == list(told)
        assert [set(values(samples)) for samples in found.values()] == [{1}, {2}, {3}, {4}, {5}]


class TestCalls:
    @pytest.mark.parametrize(
        ("here", "there", "calls"), [(1200, 0, 3), (700, 500, 2 + 1), (501, 699, 2 + 2), (1, 1199, 1 + 3)]
    )
    def test_500_series_a_call_and_region(self, bench, here, there, calls):
        series = [of(f"i-{n:017x}") for n in range(here)]
        series += [of(f"i-{n:017x}", region=ELSEWHERE) for n in range(there)]
        found = bench.metrics.read(series, bench.start, bench.start + FIVE)
        assert list(found) == series
        assert bench.calls == calls

    def test_several_metrics_of_a_resource_travel_in_one_call(self, bench):
        bench.metrics.read(
            [of("i-1"), of("i-1", NETWORK), of("db-1", CONNECTIONS)], bench.start, bench.start + 2 * FIVE
        )
        assert bench.calls == 1

    def test_a_series_given_twice_is_answered_once(self, bench):
        end = bench.play({of("i-1"): [7]})
        found = bench.metrics.read([of("i-1"), of("i-1")], bench.start, end)
        assert {series: values(samples) for series, samples in found.items()} == {of("i-1"): [7]}
        assert bench.calls == 1

    def test_nothing_asked_costs_no_call(self, bench):
        assert bench.metrics.read([], bench.start, bench.start + FIVE) == {}
        assert bench.calls == 0


class TestFailures:
    @pytest.mark.parametrize(
        "error",
        [
            ThrottledError("Throttling", "Rate exceeded"),
            ThrottledError("ThrottlingException", "Rate exceeded"),
            CloudError("AccessDenied", "not authorized to perform: cloudwatch:GetMetricData"),
        ],
    )
    def test_one_is_raised_with_the_code_of_aws_and_the_next_read_is_another(self, bench, error):
        end = bench.play({of("i-1"): [7]})
        bench.fail(error)
        with pytest.raises(type(error)) as caught:
            bench.metrics.read([of("i-1")], bench.start, end)
        assert (caught.value.code, caught.value.message) == (error.code, error.message)
        assert caught.value.retryable is error.retryable
        assert isinstance(caught.value, ThrottledError) is isinstance(error, ThrottledError)
        assert values(bench.metrics.read([of("i-1")], bench.start, end)[of("i-1")]) == [7]
