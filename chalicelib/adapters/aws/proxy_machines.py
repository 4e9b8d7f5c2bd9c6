"""VMs of proxies in EC2, and their addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import passed_over, translated
from chalicelib.adapters.aws.proxy_names import of, tagged
from chalicelib.domain.errors import CloudError, NoRoomError, NotYetError
from chalicelib.domain.provisioning import Address, Machine, MachineState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.literals import InstanceTypeType
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, RunInstancesRequestTypeDef

    from chalicelib.domain.load_balancers import LoadBalancer

IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
"""https://docs.aws.amazon.com/linux/al2023/ug/ec2.html#launch-via-aws-cli"""

_NO_ROOM = frozenset({"InsufficientInstanceCapacity", "InsufficientFreeAddressesInSubnet", "Unsupported"})
"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html. Unsupported: this type, in this zone."""

_TAKEN = frozenset({"IdempotentParameterMismatch", "IdempotentInstanceTerminated"})
"""The token launched a machine already, with other words, for somebody PUT the load balancer or there is a newer image
since; or one that was terminated. https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html"""

_GONE = frozenset({"InvalidInstanceID.NotFound"})
_RELEASED = frozenset({"InvalidAllocationID.NotFound", "InvalidAssociationID.NotFound"})


class Ec2ProxyMachines:
    """Implements ProxyMachines."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def find(self, balancer: LoadBalancer) -> Sequence[Machine]:
        return [_machine(instance) for instance in self._instances(balancer)]

    def launch(self, balancer: LoadBalancer, subnet_id: str, token: str, profile: str, user_data: str) -> str:
        try:
            with translated():
                image, root = self._image(balancer)
                order: RunInstancesRequestTypeDef = {
                    "ImageId": image,
                    "InstanceType": cast("InstanceTypeType", balancer.machine_type),
                    "MinCount": 1,
                    "MaxCount": 1,
                    "ClientToken": token,
                    "SubnetId": subnet_id,
                    "SecurityGroupIds": list(balancer.security_group_ids),
                    "IamInstanceProfile": {"Name": profile},
                    "UserData": user_data,
                    "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
                    "BlockDeviceMappings": [
                        {
                            "DeviceName": root,
                            "Ebs": {
                                "Encrypted": balancer.encrypted_volume,
                                "VolumeType": "gp3",
                                "DeleteOnTermination": True,
                            },
                        }
                    ],
                    "TagSpecifications": tagged(self._stage, balancer, "instance", "volume", "network-interface"),
                }
                if balancer.key_pair is not None:
                    order["KeyName"] = balancer.key_pair
                answer = _ec2(balancer).run_instances(**order)
        except CloudError as error:
            if error.code in _TAKEN:
                return self._launched(balancer, token, error)
            if error.code in _NO_ROOM:
                raise NoRoomError(error.code, error.message) from error
            if "iamInstanceProfile" in error.message or "Instance Profile" in error.message:
                # EC2 learns of a new profile some seconds after IAM said that it is there.
                raise NotYetError(error.code, error.message) from error
            raise
        return answer["Instances"][0].get("InstanceId", "")

    def set_groups(self, balancer: LoadBalancer, instance_id: str) -> None:
        with translated():
            groups = list(balancer.security_group_ids)
            _ec2(balancer).modify_instance_attribute(InstanceId=instance_id, Groups=groups)

    def terminate(self, balancer: LoadBalancer, instance_id: str) -> None:
        with passed_over(_GONE):
            _ec2(balancer).terminate_instances(InstanceIds=[instance_id])

    def _launched(self, balancer: LoadBalancer, token: str, error: CloudError) -> str:
        found = [one for one in self._instances(balancer) if one.get("ClientToken") == token]
        if not found:
            raise NotYetError(error.code, error.message) from error
        return found[0].get("InstanceId", "")

    def _instances(self, balancer: LoadBalancer) -> list[InstanceTypeDef]:
        with translated():
            pages = _ec2(balancer).get_paginator("describe_instances").paginate(Filters=of(self._stage, balancer))
            return [
                instance
                for page in pages
                for reservation in page["Reservations"]
                for instance in reservation.get("Instances", ())
            ]

    def _image(self, balancer: LoadBalancer) -> tuple[str, str]:
        """The image, and the name of its root device."""
        image: str = client("ssm", balancer.region).get_parameter(Name=IMAGE)["Parameter"]["Value"]
        found = _ec2(balancer).describe_images(ImageIds=[image])["Images"]
        return image, (found[0].get("RootDeviceName") if found else None) or "/dev/xvda"


class Ec2ProxyAddresses:
    """Implements ProxyAddresses."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def find(self, balancer: LoadBalancer) -> Sequence[Address]:
        with translated():
            answer = _ec2(balancer).describe_addresses(Filters=of(self._stage, balancer))
        return [
            Address(one.get("AllocationId", ""), one.get("PublicIp", ""), one.get("InstanceId") or None)
            for one in answer["Addresses"]
        ]

    def allocate(self, balancer: LoadBalancer) -> None:
        with translated():
            tags = tagged(self._stage, balancer, "elastic-ip")
            _ec2(balancer).allocate_address(Domain="vpc", TagSpecifications=tags)

    def associate(self, balancer: LoadBalancer, allocation_id: str, instance_id: str) -> None:
        with translated():
            _ec2(balancer).associate_address(
                AllocationId=allocation_id, InstanceId=instance_id, AllowReassociation=True
            )

    def release(self, balancer: LoadBalancer, allocation_id: str) -> None:
        ec2 = _ec2(balancer)
        with passed_over(_RELEASED):
            found = ec2.describe_addresses(AllocationIds=[allocation_id])["Addresses"]
            association = found[0].get("AssociationId") if found else None
            if association:
                ec2.disassociate_address(AssociationId=association)
            ec2.release_address(AllocationId=allocation_id)


def _ec2(balancer: LoadBalancer) -> EC2Client:
    return cast("EC2Client", client("ec2", balancer.region))


def _machine(instance: InstanceTypeDef) -> Machine:
    return Machine(
        instance.get("InstanceId", ""),
        MachineState(instance.get("State", {}).get("Name", "pending")),
        frozenset(group.get("GroupId", "") for group in instance.get("SecurityGroups", ())),
        instance.get("PrivateIpAddress"),
        instance.get("PublicIpAddress"),
        instance.get("StateReason", {}).get("Message") or instance.get("StateTransitionReason") or None,
    )
