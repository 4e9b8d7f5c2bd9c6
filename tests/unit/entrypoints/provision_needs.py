"""What AWS asks permission for when the `provision` function makes and takes away, beside the call itself.

Resources and dependent actions: the Service Authorization Reference,
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html (RunInstances and its like) and
.../list_awsidentityandaccessmanagementiam.html, .../list_awssecretsmanager.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.contract.conftest_aws import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Need = tuple[str, str]

_EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}:"
_IAM = f"arn:aws:iam::{ACCOUNT}:"
NEW = "new"
"""The id of what is only being made."""


def _run(params: dict[str, Any]) -> Iterator[str]:
    yield f"arn:aws:ec2:{REGION}::image/{params['ImageId']}"
    yield f"{_EC2}subnet/{params['SubnetId']}"
    yield from _groups(params["SecurityGroupIds"])
    if "KeyName" in params:
        yield f"{_EC2}key-pair/{params['KeyName']}"
    for kind in ("instance", "volume", "network-interface"):
        yield f"{_EC2}{kind}/{NEW}"


def _groups(ids: Sequence[str]) -> Iterator[str]:
    return (f"{_EC2}security-group/{id_}" for id_ in ids)


EC2: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "RunInstances": _run,
    "TerminateInstances": lambda p: (f"{_EC2}instance/{id_}" for id_ in p["InstanceIds"]),
    "ModifyInstanceAttribute": lambda p: iter([f"{_EC2}instance/{p['InstanceId']}", *_groups(p["Groups"])]),
    "AllocateAddress": lambda _: iter([f"{_EC2}elastic-ip/{NEW}"]),
    "AssociateAddress": lambda p: iter(
        [f"{_EC2}elastic-ip/{p['AllocationId']}", f"{_EC2}instance/{p['InstanceId']}", f"{_EC2}network-interface/eni-1"]
    ),
    "DisassociateAddress": lambda _: iter([f"{_EC2}elastic-ip/eipalloc-1", f"{_EC2}network-interface/eni-1"]),
    "ReleaseAddress": lambda p: iter([f"{_EC2}elastic-ip/{p['AllocationId']}"]),
    "AuthorizeSecurityGroupIngress": lambda p: iter([*_groups([p["GroupId"]]), f"{_EC2}security-group-rule/{NEW}"]),
    "RevokeSecurityGroupIngress": lambda p: iter(
        [*_groups([p["GroupId"]]), *(f"{_EC2}security-group-rule/{id_}" for id_ in p["SecurityGroupRuleIds"])]
    ),
}


def ec2(operation: str, params: dict[str, Any]) -> Iterator[Need]:
    """Of calls that make or change; looking around knows no resources."""
    for resource in EC2[operation](params):
        yield f"ec2:{operation}", resource
    for tagged in params.get("TagSpecifications", ()):
        yield "ec2:CreateTags", f"{_EC2}{tagged['ResourceType']}/{NEW}"
    if "IamInstanceProfile" in params:
        # The profile has a role of its own name.
        yield "iam:PassRole", f"{_IAM}role/{params['IamInstanceProfile']['Name']}"


def iam(operation: str, params: dict[str, Any]) -> Iterator[Need]:
    profile = "InstanceProfileName" in params
    name = params["InstanceProfileName"] if profile else params["RoleName"]
    resource = f"{_IAM}{'instance-profile' if profile else 'role'}/{name}"
    yield f"iam:{operation}", resource
    if "Tags" in params:
        yield "iam:TagInstanceProfile" if profile else "iam:TagRole", resource
    if operation == "AddRoleToInstanceProfile":
        yield "iam:PassRole", f"{_IAM}role/{params['RoleName']}"


def secretsmanager(operation: str, params: dict[str, Any]) -> Iterator[Need]:
    id_ = params["SecretId"] if "SecretId" in params else params["Name"]
    resource = id_ if id_.startswith("arn:") else f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{id_}-AbCdEf"
    yield f"secretsmanager:{operation}", resource
    if operation == "CreateSecret" and "Tags" in params:
        yield "secretsmanager:TagResource", resource


def ssm(operation: str, params: dict[str, Any]) -> Iterator[Need]:
    """Parameters of AWS's own are of no account."""
    yield f"ssm:{operation}", f"arn:aws:ssm:{REGION}::parameter{params['Name']}"


def sts(operation: str, params: dict[str, Any]) -> Iterator[Need]:
    """Who one is, one may always ask: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
    if operation != "GetCallerIdentity":
        yield f"sts:{operation}", params["RoleArn"]
