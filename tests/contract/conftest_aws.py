"""The AWS adapters on moto, for the contract suites."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import boto3
from moto import mock_aws
from moto.ec2.models import ec2_backends

from chalicelib.adapters.aws.clients import forget
from chalicelib.adapters.aws.ec2 import Ec2Compute
from chalicelib.adapters.aws.sqs import SqsQueue, decode
from chalicelib.domain.resources import ResourceKind, ResourceRef, ResourceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chalicelib.ports import ReconcileRequest

ACCOUNT = "123456789012"
"""moto's own."""

REGION = "us-east-1"


class MakeInstance(Protocol):
    """Makes an instance in this state; `settings` go to RunInstances."""

    def __call__(
        self, state: ResourceState = ResourceState.STOPPED, region: str = REGION, **settings: Any
    ) -> ResourceRef: ...


@contextmanager
def fresh_aws() -> Iterator[None]:
    """moto with no client left of an earlier one."""
    with mock_aws():
        boto3.setup_default_session(region_name=REGION)
        forget()
        try:
            yield
        finally:
            forget()


@contextmanager
def make_ec2_compute() -> Iterator[tuple[Ec2Compute, MakeInstance]]:
    """EC2, and a way to have instances there."""

    def make_instance(
        state: ResourceState = ResourceState.STOPPED, region: str = REGION, **settings: Any
    ) -> ResourceRef:
        ec2: Any = boto3.client("ec2", region_name=region)
        image = next(iter(ec2_backends[ACCOUNT][region].amis))  # DescribeImages takes moto a second
        wanted = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1} | settings
        instance_id = ec2.run_instances(**wanted)["Instances"][0]["InstanceId"]
        if state is ResourceState.STOPPED:
            ec2.stop_instances(InstanceIds=[instance_id])
        elif state is ResourceState.GONE:
            ec2.terminate_instances(InstanceIds=[instance_id])
        return ResourceRef(ResourceKind.EC2, region, instance_id)

    with fresh_aws():
        yield Ec2Compute(), make_instance


@contextmanager
def make_sqs_queue() -> Iterator[tuple[SqsQueue, Callable[[], list[ReconcileRequest]]]]:
    """A queue, and a way to receive (and delete) what is ready in it now."""
    with fresh_aws():
        sqs: Any = boto3.client("sqs", region_name=REGION)
        url = sqs.create_queue(QueueName="autostop-test-reconcile")["QueueUrl"]

        def receive() -> list[ReconcileRequest]:
            got: list[ReconcileRequest] = []
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                for message in messages:
                    got.append(decode(message["Body"]))
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return got

        yield SqsQueue(url, REGION), receive
