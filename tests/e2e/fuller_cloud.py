"""MiniStack with what it lacks of EC2 and IAM: `python tests/e2e/fuller_cloud.py`, in the place of `-m ministack`.

Its EC2 cannot be asked which machine types there are, nor with which user data an instance was launched; it cannot put
an instance into other groups, and answers with everybody's addresses whatever tags are asked for. Its IAM knows the
resources and condition keys of too few actions: it refuses, as on `*`, what AWS allows. All of it is added here as AWS
documents it, so that the policies are enforced as they are, and none is widened for the emulator's sake.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html

What is still not so here: `ec2:CreateTags` of what is tagged as it is made and `iam:PassRole` are not checked, a client
token launches a second instance, and inbound rules and volumes get no tags.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ministack.app import main
from ministack.core import iam_actions
from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2, iam, tagging

if TYPE_CHECKING:
    from collections.abc import Iterator

OFFERED = ("t3.micro", "t3.small")
KINDS = {"i": "instance", "eipalloc": "elastic-ip", "sg": "security-group"}

RESOURCES = {
    "AllocateAddress": ["elastic-ip/*"],
    "AssociateAddress": ["elastic-ip/{AllocationId}", "instance/{InstanceId}"],
    "AuthorizeSecurityGroupIngress": ["security-group/{GroupId}", "security-group-rule/*"],
    "DisassociateAddress": ["elastic-ip/{AssociationId}"],
    "ModifyInstanceAttribute": ["instance/{InstanceId}", "security-group/{GroupId.1}"],
    "ReleaseAddress": ["elastic-ip/{AllocationId}"],
    "RunInstances": [
        "image/{ImageId}",
        "instance/*",
        "key-pair/{KeyName}",
        "network-interface/*",
        "security-group/{SecurityGroupId.1}",
        "subnet/{SubnetId}",
        "volume/*",
    ],
}
"""Of an action of EC2, as far as a request names them."""

_attribute = ec2._ACTION_MAP["DescribeInstanceAttribute"]
_addresses = ec2._ACTION_MAP["DescribeAddresses"]
_resource, _tag_keys = iam_actions.extract_resource_arn, iam_actions.request_tag_context
_param = iam_actions._query_param


def offerings(params: dict[str, Any]) -> Any:
    """By zone. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html"""
    wanted = ec2._parse_filters(params).get("instance-type", OFFERED)
    items = "".join(
        f"<item><instanceType>{name}</instanceType><locationType>availability-zone</locationType>"
        f"<location>{get_region()}{zone}</location></item>"
        for name in OFFERED
        if name in wanted
        for zone in "abc"
    )
    words = f"<instanceTypeOfferingSet>{items}</instanceTypeOfferingSet>"
    return ec2._xml(200, "DescribeInstanceTypeOfferingsResponse", words)


def attribute(params: dict[str, Any]) -> Any:
    """User data as RunInstances received it, in base64; every other one as the emulator answers it."""
    machine = ec2._instances.get(ec2._p(params, "InstanceId"))
    if machine is None or ec2._p(params, "Attribute") != "userData":
        return _attribute(params)
    value = f"<userData><value>{machine['UserData']}</value></userData>"
    words = f"<instanceId>{machine['InstanceId']}</instanceId>{value}"
    return ec2._xml(200, "DescribeInstanceAttributeResponse", words)


def modify(params: dict[str, Any]) -> Any:
    """Other groups for an instance. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html"""
    machine, wanted = ec2._instances.get(ec2._p(params, "InstanceId")), ec2._parse_member_list(params, "GroupId")
    if machine is None or not wanted:
        return ec2._error("InvalidParameterValue", "Only the groups of an instance can be changed here", 400)
    known = ec2._security_groups
    machine["SecurityGroups"] = [{"GroupId": id_, "GroupName": known[id_]["GroupName"]} for id_ in wanted]
    return ec2._xml(200, "ModifyInstanceAttributeResponse", "<return>true</return>")


def addresses(params: dict[str, Any]) -> Any:
    """Only those with the tags that were asked for."""
    wanted = {key[4:]: set(values) for key, values in ec2._parse_filters(params).items() if key.startswith("tag:")}
    if not wanted:
        return _addresses(params)
    tags = {id_: {tag["Key"]: tag["Value"] for tag in ec2._tags.get(id_) or ()} for id_ in ec2._addresses}
    found = [id_ for id_, has in tags.items() if all(has.get(key) in values for key, values in wanted.items())]
    if not found:
        return ec2._xml(200, "DescribeAddressesResponse", "<addressesSet/>")
    return _addresses(params | {f"AllocationId.{number}": id_ for number, id_ in enumerate(found, 1)})


def ec2_resources(params: dict[str, Any], region: str, account: str) -> list[str]:
    """Each of them is checked."""
    found, on = [], _param(params, "AssociationId")
    if on:
        named_by = next((id_ for id_, address in ec2._addresses.items() if address["AssociationId"] == on), on)
        params = params | {"AssociationId": named_by}
    for resource in RESOURCES.get(_param(params, "Action"), ()):
        named = re.sub(r"\{(.+?)\}", lambda match: _param(params, match[1]), resource)
        if not named.endswith("/"):
            found.append(f"arn:aws:ec2:{region}:{account}:{named}")
    return found


def resource(
    service: str,
    method: str,
    path: str,
    headers: Any,
    body: bytes,
    params: Any,
    region: str,
    account: str,
) -> str:
    """The first, or only, one that a request is checked on."""
    if service == "ec2" and (found := ec2_resources(params, region, account)):
        return found[0]
    if service == "iam" and (profile := _param(params, "InstanceProfileName")):
        return f"arn:aws:iam::{account}:instance-profile/{profile}"
    known = _resource(service, method, path, headers, body, params, region, account)
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters.html
    return known.replace(f":{account}:parameter/aws/", "::parameter/aws/") if service == "ssm" else known


def condition_keys(service: str, action: str, body: bytes, params: Any) -> dict[str, Any]:
    """Those of the tags that EC2 is to put on what it makes, and the boundary of a role, given or already there."""
    keys = dict(_tag_keys(service, action, body, params))
    if service == "ec2":
        for name in list(params):
            if re.fullmatch(r"TagSpecification\.\d+\.Tag\.\d+\.Key", name):
                value = _param(params, name.removesuffix("Key") + "Value")
                keys[f"aws:RequestTag/{_param(params, name)}".lower()] = value
    if service == "iam" and action != "iam:GetRole":
        role = iam._roles.get(_param(params, "RoleName")) or {}
        boundary = _param(params, "PermissionsBoundary") or role.get("PermissionsBoundary")
        if boundary:
            keys["iam:permissionsboundary"] = boundary
    return keys


def ec2_tags() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Of what EC2 has tagged, by ARN."""
    for id_, tags in ec2._tags.items():
        if kind := KINDS.get(id_.split("-")[0]):
            yield f"arn:aws:ec2:{get_region()}:{get_account_id()}:{kind}/{id_}", tags


def fill() -> None:
    """Put all of it into the emulator that is to run in this process."""
    ec2._ACTION_MAP |= {
        "DescribeAddresses": addresses,
        "DescribeInstanceAttribute": attribute,
        "DescribeInstanceTypeOfferings": offerings,
        "ModifyInstanceAttribute": modify,
    }
    iam_actions.extract_resource_arn = resource
    iam_actions.verified_access_resource_arns = ec2_resources
    iam_actions.request_tag_context = condition_keys
    tagging._RESOURCE_TAG_COLLECTORS["ec2"] = ec2_tags


if __name__ == "__main__":
    fill()
    main()
