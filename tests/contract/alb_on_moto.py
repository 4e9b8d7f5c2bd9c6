"""An ALB on moto, as AutoStop makes one: two listeners, a group for the function, listener rules with our tags."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3

from chalicelib.adapters.aws.alb_traffic import AwsAlbTraffic
from chalicelib.domain.alb_traffic import AlbPlace
from tests.contract.conftest_aws import REGION

if TYPE_CHECKING:
    from botocore.model import OperationModel


class OnMoto:
    def __init__(self) -> None:
        ec2: Any = boto3.client("ec2", region_name=REGION)
        self.elb: Any = boto3.client("elbv2", region_name=REGION)
        self.vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"][:2]]
        alb = self.elb.create_load_balancer(Name="as-lb-alb", Subnets=subnets, Scheme="internal")["LoadBalancers"][0]
        default = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
        arns = [
            self.elb.create_listener(
                LoadBalancerArn=alb["LoadBalancerArn"], Protocol="HTTP", Port=port, DefaultActions=default
            )
            for port in (80, 81)
        ]
        self.listeners = [answer["Listeners"][0]["ListenerArn"] for answer in arns]
        function = self.elb.create_target_group(Name="as-lb-alb", TargetType="lambda")["TargetGroups"][0]
        self.function = function["TargetGroupArn"]
        self.place = AlbPlace("lb_alb", REGION, alb["LoadBalancerArn"], tuple(self.listeners), self.function)
        self.traffic = AwsAlbTraffic()
        self.calls: Counter[str] = Counter()
        self.priority = 0

    def group(self, rule_id: str) -> str:
        name = f"as-{rule_id.replace('_', '-')}"
        made = self.elb.create_target_group(Name=name, Protocol="HTTP", Port=8080, VpcId=self.vpc, TargetType="ip")
        arn: str = made["TargetGroups"][0]["TargetGroupArn"]
        return arn

    def put(self, actions: list[dict[str, Any]], tags: dict[str, str]) -> str:
        self.priority += 1
        made = self.elb.create_rule(
            ListenerArn=self.listeners[self.priority % 2],
            Priority=self.priority,
            Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": [f"h{self.priority}.example.com"]}}],
            Actions=actions,
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
        arn: str = made["Rules"][0]["RuleArn"]
        return arn

    def forward(self, group: str, instances: int, function: int) -> list[dict[str, Any]]:
        groups = [{"TargetGroupArn": group, "Weight": instances}, {"TargetGroupArn": self.function, "Weight": function}]
        return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]

    def add(self, rule_id: str) -> str:
        tags = {"autostop:load-balancer": "lb_alb", "autostop:rule": rule_id, "autostop:stage": "test"}
        return self.put(self.forward(self.group(rule_id), 100, 0), tags)

    def actions(self, arn: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.elb.describe_rules(RuleArns=[arn])["Rules"][0]["Actions"]
        return found

    def weigh(self, arn: str, instances: int, function: int) -> None:
        group = self.actions(arn)[0]["ForwardConfig"]["TargetGroups"][0]["TargetGroupArn"]
        before = self.calls["ModifyRule"]
        self.elb.modify_rule(RuleArn=arn, Actions=self.forward(group, instances, function))
        self.calls["ModifyRule"] = before

    def asked(self, model: OperationModel, **_: object) -> None:
        self.calls[model.name] += 1

    @property
    def changes(self) -> int:
        return self.calls["ModifyRule"]
