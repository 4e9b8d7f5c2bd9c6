"""Inbound rules that AutoStop adds to the security groups of proxies, and takes away again."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import passed_over, translated
from chalicelib.adapters.aws.proxy_names import of, tagged
from chalicelib.domain.provisioning import OpenedRule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_ec2 import EC2Client

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.network_checks import MissingRule


class Ec2OpenedRules:
    """Implements OpenedRules."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def find(self, balancer: LoadBalancer) -> Sequence[OpenedRule]:
        with translated():
            pages = (
                _ec2(balancer)
                .get_paginator("describe_security_group_rules")
                .paginate(Filters=of(self._stage, balancer))
            )
            return [
                OpenedRule(
                    rule.get("SecurityGroupRuleId", ""),
                    rule.get("GroupId", ""),
                    rule.get("FromPort", 0),
                    rule.get("ToPort", 0),
                    rule.get("CidrIpv4", ""),
                )
                for page in pages
                for rule in page["SecurityGroupRules"]
                if not rule.get("IsEgress")
            ]

    def open(self, balancer: LoadBalancer, rule: MissingRule) -> None:
        with passed_over(frozenset({"InvalidPermission.Duplicate"})):
            _ec2(balancer).authorize_security_group_ingress(
                GroupId=rule.group_id,
                IpPermissions=[
                    {
                        "IpProtocol": rule.protocol,
                        "FromPort": rule.first,
                        "ToPort": rule.last,
                        "IpRanges": [{"CidrIp": rule.source or "", "Description": f"AutoStop: {balancer.id}"}],
                    }
                ],
                TagSpecifications=tagged(self._stage, balancer, "security-group-rule"),
            )

    def close(self, balancer: LoadBalancer, rule: OpenedRule) -> None:
        with passed_over(frozenset({"InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound"})):
            _ec2(balancer).revoke_security_group_ingress(GroupId=rule.group_id, SecurityGroupRuleIds=[rule.id])


def _ec2(balancer: LoadBalancer) -> EC2Client:
    return cast("EC2Client", client("ec2", balancer.region))
