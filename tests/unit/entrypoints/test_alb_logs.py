"""`alb_logs` as S3 calls it, on moto and under its own policy."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from chalicelib.domain.albs import AccessLogs, AlbSettings, MadeAlb
from chalicelib.domain.load_balancers import LoadBalancerKind
from chalicelib.domain.provision import Phase, Provision
from chalicelib.domain.routes import Ignore
from chalicelib.entrypoints.alb_logs import alb_logs, files
from tests.builders import make_balancer
from tests.unit.entrypoints.conftest import REGION
from tests.unit.entrypoints.test_policies import refused
from tests.unit.test_alb_log_lines import GROUP, OURS, SAMPLES

if TYPE_CHECKING:
    from tests.unit.entrypoints.conftest import Stage

KEY = "dev/AWSLogs/123456789012/elasticloadbalancing/us-east-1/2018/07/02/123456789012_elasticloadbalancing_a+b.log.gz"
ALB = "arn:aws:elasticloadbalancing:us-east-2:123456789012:loadbalancer/app/my-loadbalancer/50dc6c495c0c9188"


def event(key: str = KEY.replace("+", "%2B"), bucket: str = "alb-logs") -> dict[str, Any]:
    """As AWS documents it: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html."""
    body = {"bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}, "object": {"key": key, "size": 1024}}
    return {"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": body}]}


@pytest.fixture
def logged(stage: Stage) -> Stage:
    made = MadeAlb(ALB)
    alb = make_balancer(
        "lb_alb",
        kind=LoadBalancerKind.ALB,
        alb=AlbSettings("internal", "*.example.com", access_logs=AccessLogs("alb-logs", "dev")),
        provision=Provision(Phase.READY, "https://api.example.com", stage.stores.clock.now(), alb=made),
    )
    stage.stores.balancers.create(alb)
    stage.add_rule("i-0001", "ru_0abc", load_balancer_id="lb_alb", ignore=Ignore(user_agents=("curl/*",)))
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket="alb-logs")
    lines = [SAMPLES["http"].replace(GROUP, OURS), SAMPLES["wss"].replace(GROUP, OURS), SAMPLES["https"]]
    s3.put_object(Bucket="alb-logs", Key=KEY, Body=gzip.compress("\n".join(lines).encode()))
    stage.calls.clear()
    return stage


def test_a_file_of_the_log_is_read_and_costs_one_write_for_each_thing_that_it_tells(logged: Stage) -> None:
    assert alb_logs(event(), None) == {"read": 1}
    assert refused(logged, "alb_logs") == []
    made = [operation for _, operation, _ in logged.calls]
    assert made.count("GetObject") == 1
    assert made.count("UpdateItem") == 3  # the newest use, and the totals of used and of ignored ones
    assert made.count("GetItem") == 2  # the rule and its load balancer, once for all lines
    (last,) = logged.stores.activity.facts("ru_0abc").last
    assert (last.source, last.at.isoformat()) == ("access log", "2018-07-02T22:23:00.186641+00:00")


def test_a_file_that_is_gone_is_no_error(logged: Stage) -> None:
    assert alb_logs(event(KEY.replace("+", "-")), None) == {"read": 0}


@pytest.mark.parametrize(
    "other",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "logs"},
        {},
        {"Records": "x"},
        {"Records": [{"s3": {"object": {"key": 7}, "bucket": {"name": "logs"}}}, {"s3": None}, 7]},
        event("AWSLogs/1/ELBAccessLogTestFile"),
    ],
)
def test_what_tells_of_no_file_reads_none(other: dict[str, Any]) -> None:
    assert files(other) == []
