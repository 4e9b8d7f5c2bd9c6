"""Metrics and sessions: the same behaviour of the fakes and of CloudWatch and Session Manager."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from chalicelib.adapters.aws.cloudwatch import CloudWatchMetrics
from chalicelib.adapters.aws.ssm import SsmSessions
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.adapters.memory.signals import FakeMetrics, FakeSessions
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.guards import GuardMetric
from chalicelib.domain.resources import ResourceKind, ResourceRef
from chalicelib.ports import Series
from tests.contract.conftest_aws import REGION, fresh_aws
from tests.unit.aws.conftest import Wire, refusal

FIVE = timedelta(minutes=5)
NAMES = {GuardMetric.CPU: "CPUUtilization", GuardMetric.NETWORK_BYTES: "NetworkOut"}


def of(id_: str, metric: GuardMetric = GuardMetric.CPU, region: str = REGION) -> Series:
    return Series(ResourceRef(ResourceKind.EC2, region, id_), metric)


class MemoryBench:
    """Values are told as the time passes."""

    def __init__(self) -> None:
        self.clock = VirtualClock(datetime(2026, 1, 5, 8, 0, tzinfo=UTC))
        self.metrics = FakeMetrics(self.clock)
        self.start = self.clock.now()

    def play(self, series: Series, *values: float | None) -> None:
        for value in values:
            self.metrics.put(series, value)
            self.clock.advance(FIVE)
        self.end = self.clock.now()


class AwsBench:
    """Points are put into moto's CloudWatch, which has no future and little past: an hour ago is the start."""

    def __init__(self) -> None:
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        self.start = now - timedelta(hours=1, minutes=now.minute % 5)
        self.metrics = CloudWatchMetrics()

    def play(self, series: Series, *values: float | None) -> None:
        cloudwatch: Any = boto3.client("cloudwatch", region_name=series.ref.region)
        for n, value in enumerate(values):
            if value is None:
                continue
            total = value * 5 if series.metric is GuardMetric.NETWORK_BYTES else value
            point = {
                "MetricName": NAMES[series.metric],
                "Dimensions": [{"Name": "InstanceId", "Value": series.ref.id}],
                "Timestamp": self.start + n * FIVE,
                "Value": total,
            }
            cloudwatch.put_metric_data(Namespace="AWS/EC2", MetricData=[point])
        self.end = self.start + len(values) * FIVE


@pytest.fixture(params=[MemoryBench, AwsBench])
def bench(request: pytest.FixtureRequest):
    if request.param is MemoryBench:
        yield MemoryBench()
        return
    with fresh_aws():
        yield AwsBench()


class TestMetrics:
    @pytest.mark.parametrize("metric", list(NAMES))
    def test_points_come_oldest_first_with_their_period(self, bench, metric):
        bench.play(of("i-1", metric), 1, 20, 3)
        (samples,) = bench.metrics.read([of("i-1", metric)], bench.start, bench.end).values()
        assert [sample.value for sample in samples] == [1, 20, 3]
        assert [sample.start for sample in samples] == [bench.start + n * FIVE for n in range(3)]
        assert {sample.period for sample in samples} == {FIVE}

    def test_a_missing_point_is_missing_and_a_period_under_way_is_not_told(self, bench):
        bench.play(of("i-1"), 1, None, 3)
        (samples,) = bench.metrics.read([of("i-1")], bench.start, bench.end).values()
        assert [sample.value for sample in samples] == [1, 3]
        (samples,) = bench.metrics.read([of("i-1")], bench.start, bench.end - timedelta(seconds=1)).values()
        assert [sample.value for sample in samples] == [1]

    def test_each_series_has_its_own_points_and_nothing_asked_is_nothing(self, bench):
        bench.play(of("i-1"), 7)
        bench.play(of("i-2"), 9)
        found = bench.metrics.read([of("i-2"), of("i-1"), of("i-2")], bench.start, bench.start + 2 * FIVE)
        assert found.keys() == {of("i-1"), of("i-2")}
        assert 9 in [sample.value for sample in found[of("i-2")]]
        assert bench.metrics.read([], bench.start, bench.end) == {}


class TestCloudWatch:
    def test_1200_series_of_two_regions_are_three_calls_and_pages_are_followed(self):
        with fresh_aws():
            wire, asked = Wire(), Counter()
            for region in (REGION, "eu-central-1"):
                wire.tap("cloudwatch", region)
            at = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)

            def answer(params: dict[str, Any]) -> dict[str, Any]:
                asked[len(params["MetricDataQueries"])] += 1
                more = "NextToken" not in params
                point = {"Id": "m0", "Timestamps": [at if more else at + FIVE], "Values": [1.0]}
                return {"MetricDataResults": [point]} | ({"NextToken": "more"} if more else {})

            wire.on["GetMetricData"] = answer
            series = [of(f"i-{n}") for n in range(1100)] + [of(f"i-{n}", region="eu-central-1") for n in range(100)]
            found = CloudWatchMetrics().read(series, at, at + timedelta(hours=1))
            assert asked == {500: 4, 100: 4}  # each call, and its second page
            assert [sample.start for sample in found[series[0]]] == [at, at + FIVE]
            assert found[series[1]] == ()

    def test_throttling_is_an_error_of_its_own(self):
        with fresh_aws():
            wire = Wire()
            wire.tap("cloudwatch")

            def fail(_: dict[str, Any]) -> dict[str, Any]:
                raise refusal("Throttling")

            wire.on["GetMetricData"] = fail
            with pytest.raises(ThrottledError):
                CloudWatchMetrics().read(
                    [of("i-1")], datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)
                )


class TestSessions:
    REFS = tuple(of(f"i-{n}").ref for n in range(3))

    def test_every_instance_is_in_the_answer_with_its_open_sessions(self):
        fake = FakeSessions()
        fake.counts[self.REFS[1]] = 2
        with fresh_aws():
            wire = Wire()
            wire.tap("ssm")
            pages = [
                {"Sessions": [{"Target": "i-1"}, {"Target": "i-9"}], "NextToken": "more"},
                {"Sessions": [{"Target": "i-1"}]},
            ]

            def answer(params: dict[str, Any]) -> dict[str, Any]:
                assert params["State"] == "Active"
                return pages[1 if "NextToken" in params else 0]

            wire.on["DescribeSessions"] = answer
            for sessions in (fake, SsmSessions()):
                assert sessions.open(self.REFS) == {self.REFS[0]: 0, self.REFS[1]: 2, self.REFS[2]: 0}

    def test_what_aws_refuses_is_a_cloud_error(self):
        fake = FakeSessions()
        fake.fail_next.append(CloudError("AccessDeniedException", "No"))
        with fresh_aws():
            wire = Wire()
            wire.tap("ssm")

            def fail(_: dict[str, Any]) -> dict[str, Any]:
                raise refusal("AccessDeniedException")

            wire.on["DescribeSessions"] = fail
            for sessions in (fake, SsmSessions()):
                with pytest.raises(CloudError, match="AccessDenied"):
                    sessions.open(self.REFS)
