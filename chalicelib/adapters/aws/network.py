"""VPCs, subnets, security groups, what machines can be had, and secrets by name: read only, never a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.domain.errors import CloudError
from chalicelib.domain.network import Ingress, SecurityGroup, Subnet, Vpc, secret_region

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef, IpPermissionOutputTypeDef
    from mypy_boto3_secretsmanager import SecretsManagerClient


class AwsNetwork:
    """Implements Network.

    Filters, for they pass over an unknown id where naming it fails the whole call; what comes back is compared with
    what was asked, since a filter takes `*` and `?` for any characters.
    """

    def vpc(self, region: str, vpc_id: str) -> Vpc | None:
        with translated():
            answer = _ec2(region).describe_vpcs(Filters=_having("vpc-id", vpc_id))
        found = [Vpc(vpc_id, vpc.get("CidrBlock", "")) for vpc in answer["Vpcs"] if vpc.get("VpcId") == vpc_id]
        return found[0] if found else None

    def subnets(self, region: str, ids: Sequence[str]) -> dict[str, Subnet]:
        if not ids:
            return {}
        with translated():
            answer = _ec2(region).describe_subnets(Filters=_having("subnet-id", *ids))
        found = [
            Subnet(subnet.get("SubnetId", ""), subnet.get("VpcId", ""), subnet.get("AvailabilityZone", ""))
            for subnet in answer["Subnets"]
        ]
        return {subnet.id: subnet for subnet in found if subnet.id in ids}

    def security_groups(self, region: str, ids: Sequence[str]) -> dict[str, SecurityGroup]:
        if not ids:
            return {}
        with translated():
            answer = _ec2(region).describe_security_groups(Filters=_having("group-id", *ids))
        found = [
            SecurityGroup(
                group.get("GroupId", ""),
                group.get("VpcId", ""),
                tuple(_ingress(permission) for permission in group.get("IpPermissions", ())),
            )
            for group in answer["SecurityGroups"]
        ]
        return {group.id: group for group in found if group.id in ids}

    def zones_offering(self, region: str, machine_type: str) -> frozenset[str]:
        with translated():
            pages = (
                _ec2(region)
                .get_paginator("describe_instance_type_offerings")
                .paginate(LocationType="availability-zone", Filters=_having("instance-type", machine_type))
            )
            offers = [offer for page in pages for offer in page["InstanceTypeOfferings"]]
        return frozenset(offer["Location"] for offer in offers if offer.get("InstanceType") == machine_type)

    def architectures(self, region: str, machine_type: str) -> frozenset[str]:
        with translated():
            # By a filter: named as a type, an unknown one fails the call.
            answer = _ec2(region).describe_instance_types(Filters=_having("instance-type", machine_type))
        return frozenset(
            architecture
            for found in answer["InstanceTypes"]
            if found.get("InstanceType") == machine_type
            for architecture in found.get("ProcessorInfo", {}).get("SupportedArchitectures", ())
        )

    def has_key_pair(self, region: str, name: str) -> bool:
        with translated():
            answer = _ec2(region).describe_key_pairs(Filters=_having("key-name", name))
        return any(pair.get("KeyName") == name for pair in answer["KeyPairs"])

    def has_secret(self, arn: str) -> bool:
        region = secret_region(arn)
        if region is None:
            return False
        secrets = cast("SecretsManagerClient", client("secretsmanager", region))
        try:
            with translated():
                answer = secrets.describe_secret(SecretId=arn)
        except CloudError as error:
            if error.code == "ResourceNotFoundException":
                return False
            raise
        return "DeletedDate" not in answer


def _ec2(region: str) -> EC2Client:
    return cast("EC2Client", client("ec2", region))


def _having(name: str, *values: str) -> list[FilterTypeDef]:
    return [{"Name": name, "Values": [value.replace("\\", "\\\\") for value in values]}]  # a \ escapes


def _ingress(permission: IpPermissionOutputTypeDef) -> Ingress:
    sources = [
        *(one.get("CidrIp") for one in permission.get("IpRanges", ())),
        *(one.get("CidrIpv6") for one in permission.get("Ipv6Ranges", ())),
        *(one.get("GroupId") for one in permission.get("UserIdGroupPairs", ())),
        *(one.get("PrefixListId") for one in permission.get("PrefixListIds", ())),
    ]
    first, last = permission.get("FromPort"), permission.get("ToPort")
    ports = None if first is None or last is None else (first, last)
    return Ingress(permission.get("IpProtocol", ""), ports, tuple(source for source in sources if source))
