"""A stage on moto: every function runs as in Lambda, through bootstrap and the real adapters, its calls recorded."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.handlers import BUILTIN_HANDLERS

from chalicelib.adapters.aws.sqs import decode
from chalicelib.adapters.dynamodb.models import ALL_MODELS
from chalicelib.bootstrap import parts
from chalicelib.domain.resources import ResourceState
from scripts.built import forget_built
from tests.builders import make_balancer, make_rule
from tests.contract.conftest_aws import REGION, fresh_aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import OperationModel

    from chalicelib.domain.rules import Rule
    from chalicelib.ports import ReconcileRequest

EVENTS = Path(__file__).parent.parent.parent / "events"
LOG_GROUP = "/autostop/test/proxy"
QUEUE = "autostop-test-reconcile"
PROVISION_QUEUE = "autostop-test-provision"
CONTEXT = SimpleNamespace(function_name="autostop-test", aws_request_id="r-1")


def documented(name: str, **changes: Any) -> dict[str, Any]:
    """An event as AWS documents it."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event | changes


class Stage:
    """The stage `test`, and what its functions asked AWS for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.queue_url = ""
        self.provision_queue_url = ""

    def record(self, params: dict[str, Any], model: OperationModel, **_: object) -> None:
        self.calls.append((model.service_model.service_name, model.name, params))

    @property
    def stores(self) -> Any:
        return parts.stores()

    def add_rule(self, instance_id: str, id_: str = "ru_1", **changes: Any) -> Rule:
        return self.stores.rules.create(make_rule(id_, resource_ids=(instance_id,), **changes), "{}")

    def instance(self, state: ResourceState = ResourceState.STOPPED) -> str:
        ec2 = boto3.client("ec2", region_name=REGION)
        image = ec2.describe_images()["Images"][0]["ImageId"]
        made = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
        id_ = made["Instances"][0]["InstanceId"]
        if state is ResourceState.STOPPED:
            ec2.stop_instances(InstanceIds=[id_])
        return id_

    def state_of(self, instance_id: str) -> str:
        ec2 = boto3.client("ec2", region_name=REGION)
        return ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]["State"]["Name"]

    def messages(self) -> list[ReconcileRequest]:
        sqs = boto3.client("sqs", region_name=REGION)
        got = []
        while messages := sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            got += [decode(message["Body"]) for message in messages]
        return got


@pytest.fixture(scope="package")
def shared() -> Iterator[Stage]:
    """Made once: a session and its clients cost more than all of these tests."""
    made = Stage()
    with pytest.MonkeyPatch.context() as patch, fresh_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            patch.setenv(name, "testing")
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "_X_AMZN_TRACE_ID"):
            patch.delenv(name, raising=False)
        sqs = boto3.client("sqs", region_name=REGION)
        made.queue_url = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
        made.provision_queue_url = sqs.create_queue(QueueName=PROVISION_QUEUE)["QueueUrl"]
        variables = {
            "AWS_REGION": REGION,
            "AUTOSTOP_STAGE": "test",
            "AUTOSTOP_TABLE_PREFIX": "autostop-test-",
            "AUTOSTOP_QUEUE_URL": made.queue_url,
            "AUTOSTOP_PROVISION_QUEUE_URL": made.provision_queue_url,
            "AUTOSTOP_PROXY_BOUNDARY_ARN": "arn:aws:iam::123456789012:policy/autostop-test-proxy-boundary",
            "AUTOSTOP_PROXY_LOG_GROUP": LOG_GROUP,
        }
        for name, value in variables.items():
            patch.setenv(name, value)
        tap = ("provide-client-params", made.record)
        BUILTIN_HANDLERS.append(tap)  # every session made from here on
        try:
            boto3.setup_default_session(region_name=REGION)
            forget_built()
            assert made.stores
            yield made
        finally:
            BUILTIN_HANDLERS.remove(tap)
            forget_built()


@pytest.fixture
def stage(shared: Stage) -> Stage:
    """Empty, but for load balancer `lb_1`."""
    dynamodb = boto3.client("dynamodb", region_name=REGION)
    for name in dynamodb.list_tables()["TableNames"]:
        dynamodb.delete_table(TableName=name)
    for model in ALL_MODELS:
        model.create_table(wait=False)
    sqs = boto3.client("sqs", region_name=REGION)
    for url, name in ((shared.queue_url, QUEUE), (shared.provision_queue_url, PROVISION_QUEUE)):
        sqs.delete_queue(QueueUrl=url)
        sqs.create_queue(QueueName=name)
    parts.settings.cache_clear()
    shared.stores.balancers.create(make_balancer())
    shared.calls.clear()
    return shared
