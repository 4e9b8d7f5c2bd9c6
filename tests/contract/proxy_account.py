"""An account on moto in which proxies are made, and what moto lacks for that put on the wire before it.

moto 5.2 starts a second machine for a client token that it knows, and refuses a root volume without a size, which AWS
takes from the image (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html). Its list of
public parameters takes it seconds to read: the parameter of the image is answered here.
"""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
from moto.ec2.models import ec2_backends

from chalicelib.adapters.aws.clients import client
from tests.builders import make_balancer
from tests.contract.conftest_aws import ACCOUNT, REGION
from tests.unit.aws.conftest import refusal

if TYPE_CHECKING:
    from botocore.model import OperationModel

    from chalicelib.domain.load_balancers import LoadBalancer

STAGE = "test"


class ProxyAccount:
    """`asked` are the calls as AWS gets them; `tokens` the launches that it remembers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.refusals: list[Exception] = []
        self.tokens: dict[str, dict[str, Any]] = {}
        self.ec2: Any = boto3.client("ec2", region_name=REGION)
        self.iam: Any = boto3.client("iam", region_name=REGION)
        vpc = self.ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
        self.vpc_id: str = vpc
        self.subnet_id: str = self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.1.0/24")["Subnet"]["SubnetId"]
        self.groups = tuple(
            self.ec2.create_security_group(GroupName=name, Description="test", VpcId=vpc)["GroupId"]
            for name in ("proxy", "other")
        )
        self.ec2.create_key_pair(KeyName="ops")
        for service, region in (("ec2", REGION), ("ssm", REGION), ("iam", "us-east-1"), ("secretsmanager", REGION)):
            self.tap(service, region)

    def tap(self, service: str, region: str) -> None:
        """The adapters' own client of this service."""
        events = client(service, region).meta.events
        events.register_first("provide-client-params.*", self._note)
        events.register_first("before-call.*", self._refuse)
        if service == "ssm":
            events.register_first("before-call.ssm.GetParameter", self._image)

    def balancer(self, id_: str = "lb_1", **changes: Any) -> LoadBalancer:
        """One in this account's network."""
        network = {"vpc_id": self.vpc_id, "subnet_ids": (self.subnet_id,), "security_group_ids": self.groups[:1]}
        return make_balancer(id_, **(network | {"existing": False} | changes))

    def of(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of each such call."""
        return [params for name, params in self.asked if name == operation]

    def _note(self, params: dict[str, Any], model: OperationModel, **_: object) -> dict[str, Any]:
        self.asked.append((model.name, copy.deepcopy(params)))
        return sized(params) if model.name == "RunInstances" else params

    def _refuse(self, model: OperationModel, **_: object) -> tuple[object, dict[str, Any]] | None:
        if self.refusals:
            raise self.refusals.pop(0)
        return self._known_token(self.of("RunInstances")[-1]) if model.name == "RunInstances" else None

    def _known_token(self, order: dict[str, Any]) -> tuple[object, dict[str, Any]] | None:
        """The same answer to the same order, as EC2 gives it.

        https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
        """
        for reservation in self.ec2.describe_instances()["Reservations"]:
            instance = reservation["Instances"][0]
            if instance.get("ClientToken") != order["ClientToken"]:
                continue
            if self.tokens[order["ClientToken"]] != order:
                raise refusal("IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent")
            if instance["State"]["Name"] == "terminated":
                raise refusal("IdempotentInstanceTerminated", "The token is of a terminated instance")
            return SimpleNamespace(status_code=200), {"Instances": [instance]}
        self.tokens[order["ClientToken"]] = order
        return None

    def _image(self, **_: object) -> tuple[object, dict[str, Any]]:
        image = next(iter(ec2_backends[ACCOUNT][REGION].amis))
        return SimpleNamespace(status_code=200), {"Parameter": {"Value": image}}


def sized(order: dict[str, Any]) -> dict[str, Any]:
    """The same order, with the size of the root volume that AWS takes from the image."""
    mappings = [one | {"Ebs": one["Ebs"] | {"VolumeSize": 8}} for one in order.get("BlockDeviceMappings", ())]
    return order | {"BlockDeviceMappings": mappings}
