"""What the functions may do about ALBs: look at all, make with our tag, and change only what has it.

Elastic Load Balancing takes conditions on tags for listeners and listener rules too, so that on an ALB of the user's
own nothing but rules of ours can be changed. Only for the order of rules it names no tags, neither in the reference nor
in AWS's own AmazonEKSLoadBalancingPolicy, which has all else under a tag: a condition there would refuse every move.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
"""

from __future__ import annotations

from typing import Any

TAG = "autostop:load-balancer"
FUNCTIONS = "arn:*:lambda:*:*:function:autostop-*"

_ELB = "arn:*:elasticloadbalancing:*:*"
_OURS = [f"{_ELB}:loadbalancer/app/as-lb-*", f"{_ELB}:targetgroup/as-*"]
_RULES = f"{_ELB}:listener-rule/app/*"
_LISTENERS = f"{_ELB}:listener/app/*"
_LOOK = [f"elasticloadbalancing:Describe{what}" for what in ("Listeners", "LoadBalancers", "Rules", "Tags")]


def looking() -> list[dict[str, Any]]:
    """The API's: what an ALB or a rule on one names is looked at before it is stored."""
    # Describes of ELB know no resources.
    look = ["ec2:DescribeRouteTables", "elasticloadbalancing:DescribeAccountLimits", *_LOOK]
    return [
        _allow("LookAtAlbs", look, ["*"]),
        _allow("Certificates", ["acm:DescribeCertificate"], ["arn:*:acm:*:*:certificate/*"]),
        _allow("Zones", ["route53:GetHostedZone"], ["arn:*:route53:::hostedzone/*"]),
        _allow("Functions", ["lambda:GetFunctionConfiguration", "lambda:GetPolicy"], [FUNCTIONS]),
    ]


def making() -> list[dict[str, Any]]:
    """The `provision` function's."""
    tagging = {"Null": {f"aws:RequestTag/{TAG}": "false"}}
    tagged = {"Null": {f"aws:ResourceTag/{TAG}": "false"}}
    creates = ["CreateListener", "CreateLoadBalancer", "CreateRule", "CreateTargetGroup"]
    look = [
        "DescribeLoadBalancerAttributes",
        "DescribeTargetGroupAttributes",
        "DescribeTargetGroups",
        "DescribeTargetHealth",
    ]
    return [
        _allow(
            "LookAtAlbs",
            # ELB asks for EC2's with the rights of whoever has it make a load balancer, or put it into other groups.
            # https://docs.aws.amazon.com/aws-managed-policy/latest/reference/ElasticLoadBalancingFullAccess.html
            [
                "ec2:DescribeAccountAttributes",
                "ec2:DescribeInternetGateways",
                "ec2:DescribeSubnets",
                "ec2:GetSecurityGroupsForVpc",
                *_LOOK,
                *(f"elasticloadbalancing:{action}" for action in look),
            ],
            ["*"],
        ),
        _allow(
            "MakeAlbs",
            [f"elasticloadbalancing:{action}" for action in creates],
            [*_OURS, _LISTENERS],
            tagging,
        ),
        _allow(
            "TagAlbs",
            ["elasticloadbalancing:AddTags"],
            [*_OURS, _LISTENERS, _RULES],
            {"StringEquals": {"elasticloadbalancing:CreateAction": creates}},
        ),
        _allow(
            "ChangeAlbs",
            [
                f"elasticloadbalancing:{action}"
                for action in (
                    "DeleteListener",
                    "DeleteLoadBalancer",
                    "DeleteRule",
                    "DeleteTargetGroup",
                    "DeregisterTargets",
                    "ModifyListener",
                    "ModifyLoadBalancerAttributes",
                    "ModifyRule",
                    "ModifyTargetGroup",
                    "ModifyTargetGroupAttributes",
                    "RegisterTargets",
                    "SetSecurityGroups",
                )
            ],
            [*_OURS, _LISTENERS, _RULES],
            tagged,
        ),
        _allow("OrderRules", ["elasticloadbalancing:SetRulePriorities"], [_RULES]),
        _allow("Functions", ["lambda:GetFunctionConfiguration", "lambda:GetPolicy"], [FUNCTIONS]),
        _allow(
            "AllowFunctions",
            ["lambda:AddPermission"],
            [FUNCTIONS],
            {"StringEquals": {"lambda:Principal": "elasticloadbalancing.amazonaws.com"}},
        ),
        _allow("Records", ["route53:ListResourceRecordSets"], ["arn:*:route53:::hostedzone/*"]),
        _allow(
            "PutRecords",
            ["route53:ChangeResourceRecordSets"],
            ["arn:*:route53:::hostedzone/*"],
            {"ForAllValues:StringEquals": {"route53:ChangeResourceRecordSetsRecordTypes": ["A"]}},
        ),
        # The first load balancer of an account needs ELB's own role.
        _allow(
            "ElbRole",
            ["iam:CreateServiceLinkedRole"],
            ["arn:*:iam::*:role/aws-service-role/elasticloadbalancing.amazonaws.com/*"],
            {"StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}},
        ),
    ]


def bounding() -> list[dict[str, Any]]:
    """As `making`, in fewer characters: a managed policy, as a boundary is, takes 6,144 of them.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    changes = [f"elasticloadbalancing:{verb}*" for verb in ("De", "Modify", "Register", "SetS")]
    shorter: dict[str, dict[str, Any]] = {
        "LookAtAlbs": {"Action": ["ec2:Describe*", "ec2:GetSec*", "elasticloadbalancing:Describe*"]},
        "MakeAlbs": {"Action": ["elasticloadbalancing:Create*"], "Resource": [f"{_ELB}:*"]},
        "TagAlbs": {"Resource": [f"{_ELB}:*"]},
        "ChangeAlbs": {"Action": changes, "Resource": [f"{_ELB}:*"]},
        "Functions": {"Action": ["lambda:Get*"]},
    }
    return [statement | shorter.get(statement["Sid"], {}) for statement in making()]


def _allow(
    sid: str, actions: list[str], resources: list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return statement if condition is None else statement | {"Condition": condition}
