"""What the `provision` function may do in EC2, IAM and Secrets Manager: make, and touch only what it made.

Everything it makes has the tag `autostop:proxy`; what has it not, it may look at and not change. Roles it makes only
under the permissions boundary, so that it can give nobody, itself included, more than a proxy may have.
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-delegate
"""

from __future__ import annotations

from typing import Any

TAG = "autostop:proxy"
ROLES = "arn:*:iam::*:role/autostop-*-proxy-lb_*"
PROFILES = "arn:*:iam::*:instance-profile/autostop-*-proxy-lb_*"
SECRETS = "arn:*:secretsmanager:*:*:secret:autostop/*/proxy/lb_*"
BOUNDARY = "arn:*:iam::*:policy/autostop-*-proxy-boundary"

_EC2 = "arn:*:ec2:*:*"
# RunInstances asks about each of these too; they are others' and stay untagged.
_USED = ["image/*", "subnet/*", "security-group/*", "key-pair/*", "launch-template/*"]
_MADE = ["instance/*", "volume/*", "network-interface/*"]


def provisioning() -> list[dict[str, Any]]:
    """Its statements."""
    tagging = {"Null": {f"aws:RequestTag/{TAG}": "false"}}
    tagged = {"Null": {f"aws:ResourceTag/{TAG}": "false"}}
    bounded = {"ArnLike": {"iam:PermissionsBoundary": BOUNDARY}}
    makes = ["RunInstances", "AllocateAddress", "AuthorizeSecurityGroupIngress"]
    return [
        # EC2's describes know no resources.
        _allow(
            "LookAround",
            [
                "ec2:DescribeAddresses",
                "ec2:DescribeImages",
                "ec2:DescribeInstances",
                "ec2:DescribeSecurityGroupRules",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeVpcs",
            ],
            ["*"],
        ),
        _allow("FindImage", ["ssm:GetParameter"], ["arn:*:ssm:*::parameter/aws/service/ami-amazon-linux-latest/*"]),
        _allow("LaunchWith", ["ec2:RunInstances"], [f"{_EC2}:{kind}" for kind in _USED] + ["arn:*:ec2:*::image/*"]),
        _allow("Launch", ["ec2:RunInstances"], [f"{_EC2}:{kind}" for kind in _MADE], tagging),
        _allow("Allocate", ["ec2:AllocateAddress"], [f"{_EC2}:elastic-ip/*"], tagging),
        _allow(
            "Tag",
            ["ec2:CreateTags"],
            [f"{_EC2}:{kind}" for kind in (*_MADE, "elastic-ip/*", "security-group-rule/*")],
            {"StringEquals": {"ec2:CreateAction": makes}},
        ),
        _allow(
            "ChangeOwn",
            [
                "ec2:AssociateAddress",
                "ec2:DisassociateAddress",
                "ec2:ModifyInstanceAttribute",
                "ec2:ReleaseAddress",
                "ec2:TerminateInstances",
            ],
            [f"{_EC2}:instance/*", f"{_EC2}:elastic-ip/*", f"{_EC2}:network-interface/*"],
            tagged,
        ),
        # An instance is put into groups that are the user's.
        _allow("JoinGroups", ["ec2:ModifyInstanceAttribute"], [f"{_EC2}:security-group/*"]),
        # EC2 checks the group, which is the user's, for both; which rules go is said by their ids, found by our tag.
        _allow(
            "OpenPorts",
            ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"],
            [f"{_EC2}:security-group/*", f"{_EC2}:security-group-rule/*"],
        ),
        _allow(
            "MakeRoles", ["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"], [ROLES], bounded
        ),
        _allow(
            "KeepRoles",
            [
                "iam:DeleteRole",
                "iam:DeleteRolePolicy",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:TagRole",
                "iam:UpdateAssumeRolePolicy",
            ],
            [ROLES],
        ),
        _allow(
            "KeepProfiles",
            [
                "iam:AddRoleToInstanceProfile",
                "iam:CreateInstanceProfile",
                "iam:DeleteInstanceProfile",
                "iam:GetInstanceProfile",
                "iam:RemoveRoleFromInstanceProfile",
                "iam:TagInstanceProfile",
            ],
            [PROFILES],
        ),
        _allow("PassRoles", ["iam:PassRole"], [ROLES], {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}),
        # With the rights of a VM, and no others, its certificates are read before it is made.
        _allow("TryRoles", ["sts:AssumeRole"], [ROLES]),
        _allow(
            "KeepKeys",
            [
                "secretsmanager:CreateSecret",
                "secretsmanager:DeleteSecret",
                "secretsmanager:DescribeSecret",
                "secretsmanager:PutSecretValue",
                "secretsmanager:TagResource",
            ],
            [SECRETS],
        ),
    ]


def _allow(
    sid: str, actions: list[str], resources: list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return statement if condition is None else statement | {"Condition": condition}
