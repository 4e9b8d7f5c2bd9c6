"""The deployed warm-up function in the embedded cloud, under its own role: a request comes in, the instance starts."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.adapters.aws.system import SystemClock
from chalicelib.adapters.dynamodb.models import ALL_MODELS
from chalicelib.adapters.dynamodb.stores import build_stores
from chalicelib.domain.albs import AlbSettings, Theme
from chalicelib.domain.compact import compact_rule
from chalicelib.domain.load_balancers import LoadBalancerKind
from chalicelib.domain.rules import RuleStatus
from scripts.local import stack
from scripts.local.cloud import CREDENTIALS, REGION, start
from scripts.local.processes import Processes
from tests.builders import make_balancer, make_rule
from tests.unit.entrypoints.test_warm_up import alb_event

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e


class Account:
    def __init__(self, cloud: Any, deployed: stack.Deployed) -> None:
        self.cloud, self.deployed = cloud, deployed
        self.stores = build_stores("autostop-local-", REGION, SystemClock(), cloud.url)

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        function = self.deployed.functions["warm_up"]
        done = self.cloud.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        assert "FunctionError" not in done, done["Payload"].read()
        return json.loads(done["Payload"].read())

    def state_of(self, instance_id: str) -> str:
        found = self.cloud.client("ec2").describe_instances(InstanceIds=[instance_id])
        return found["Reservations"][0]["Instances"][0]["State"]["Name"]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    home = tmp_path_factory.mktemp("cloud")
    processes = Processes(home / "logs")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        for model in ALL_MODELS:
            patch.setattr(model.Meta, "host", None)  # whoever comes after us asks elsewhere
            patch.setattr(model, "_connection", None)
        try:
            cloud = start(processes, home)
            yield Account(cloud, stack.deploy(cloud))
        finally:
            processes.end()


@pytest.fixture(scope="module")
def instance_id(account: Account) -> str:
    """Stopped, with a rule on an ALB."""
    ec2 = account.cloud.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    id_ = made["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[id_])
    alb = AlbSettings("internal", "*.example.com", theme=Theme("Staging"))
    account.stores.balancers.create(make_balancer("lb_alb", kind=LoadBalancerKind.ALB, alb=alb))
    rule = make_rule("ru_1", RuleStatus(), load_balancer_id="lb_alb", resource_ids=(id_,))
    account.stores.rules.create(rule, compact_rule(rule.id, rule.spec, ["10.0.0.1"]))
    assert account.state_of(id_) == "stopped"
    return id_


def test_what_nobody_asked_for_stays_down(account: Account, instance_id: str) -> None:
    assert account.invoke(alb_event(host="other.example.com"))["statusCode"] == 404
    check = alb_event(user_agent="ELB-HealthChecker/2.0")
    del check["headers"]["x-forwarded-for"]
    assert account.invoke(check)["statusCode"] == 200
    assert account.stores.rules.get("ru_1").status.woken_at is None
    assert account.state_of(instance_id) == "stopped"


def test_a_request_gets_the_page_and_starts_the_instance(account: Account, instance_id: str) -> None:
    answer = account.invoke(alb_event("/shop"))
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "2")
    assert "app.example.com is starting" in answer["body"]
    assert "Staging" in answer["body"]
    assert account.stores.rules.get("ru_1").status.woken_by == "traffic 203.0.113.7 to app.example.com/shop"
    deadline = time.monotonic() + 60
    while account.state_of(instance_id) != "running":
        assert time.monotonic() < deadline, "the message never reached the worker, or the worker did not start it"
        time.sleep(0.2)
