"""The parts of ALBs in memory and on moto, each with a way to have things around them."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from moto.acm.models import acm_backends

from chalicelib.adapters.aws.alb_account import AwsAlbAccount
from chalicelib.adapters.aws.alb_rules import AwsAlbRules
from chalicelib.adapters.aws.albs import AwsAlbs
from chalicelib.adapters.aws.dns_records import Route53Records
from chalicelib.adapters.aws.target_groups import AwsTargetGroups
from chalicelib.adapters.aws.warm_up_function import AwsWarmUpFunction
from chalicelib.adapters.memory.alb_account import FakeAlbAccount, FakeDnsRecords, FakeWarmUpFunction
from chalicelib.adapters.memory.albs import FakeAlbRules, FakeAlbs, FakeElb, FakeTargetGroups
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.domain.alb_seen import (
    OtherAction,
    Quotas,
    SeenCertificate,
    SeenFunction,
    SeenListener,
    SeenRule,
    SeenZone,
)
from tests.builders import make_alb
from tests.contract.conftest_aws import REGION, fresh_aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.domain.load_balancers import LoadBalancer

NAME = "autostop-test-warm_up"


class InMemory:
    swaps = guards_records = True

    def __init__(self) -> None:
        self.elb = elb = FakeElb(VirtualClock())
        self.albs, self.rules, self.groups = FakeAlbs(elb), FakeAlbRules(elb), FakeTargetGroups(elb)
        self.account, self.records = FakeAlbAccount(elb), FakeDnsRecords()
        self.function = FakeWarmUpFunction(None)
        self.account.limits = Quotas(100, 100)
        self._made = 0

    def balancer(self, settings: dict[str, Any] | None = None, **changes: Any) -> LoadBalancer:
        return make_alb(settings=settings, **changes)

    def other_group(self) -> str:
        return "sg-2"

    def bucket(self) -> str:
        return "alb-logs"

    def function_arn(self) -> str:
        arn = f"arn:aws:lambda:{REGION}:123456789012:function:{NAME}"
        self.function.function = SeenFunction(arn, allowed=False, code="abc", deployed_at="2026-11-25")
        return arn

    def their_alb(self, balancer: LoadBalancer) -> str:
        arn = f"arn:aws:elasticloadbalancing:{REGION}:123456789012:loadbalancer/app/theirs/50dc6c495c0c9188"
        self.elb.add_alb(arn, balancer.vpc_id)
        return arn

    def their_listener(self, alb_arn: str) -> str:
        arn = "arn:theirs:listener/1"
        self.elb.add_listener(alb_arn, SeenListener(arn, 80, "http", OtherAction()))
        return arn

    def their_rule(self, listener_arn: str, priority: int, host: str) -> None:
        arn = f"arn:theirs:rule/{priority}"
        self.elb.rules[arn] = SeenRule(arn, listener_arn, priority, OtherAction(), frozenset({host}), narrowed=True)

    def certificate(self, *names: str) -> str:
        arn = f"arn:aws:acm:{REGION}:123456789012:certificate/c-1"
        self.account.certificates[arn] = SeenCertificate("ISSUED", names)
        return arn

    def zone(self, name: str) -> str:
        self.account.zones["Z1"] = SeenZone(name)
        return "Z1"

    def their_record(self, zone_id: str, name: str, address: str) -> None:
        self.records.records[zone_id, name] = address

    def route_out(self, balancer: LoadBalancer, subnet_id: str) -> None:
        self.account.public.add(subnet_id)


class Aws:
    swaps = False
    """moto refuses a new order in which one takes the number that another gives up; AWS asks for no conflict after it.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetRulePriorities.html"""
    guards_records = False
    """moto lets CREATE write over a record; Route 53 refuses with InvalidChangeBatch."""

    def __init__(self) -> None:
        self.albs, self.rules, self.groups = AwsAlbs("test"), AwsAlbRules("test"), AwsTargetGroups("test")
        self.account, self.records, self.function = AwsAlbAccount(), Route53Records(), AwsWarmUpFunction(NAME)
        self._elb: Any = boto3.client("elbv2", region_name=REGION)
        self._ec2: Any = boto3.client("ec2", region_name=REGION)
        self.vpc = self._ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self.subnets = tuple(
            self._ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"{REGION}{zone}")[
                "Subnet"
            ]["SubnetId"]
            for n, zone in enumerate("ab")
        )
        self.group = self._group("one")

    def _group(self, name: str) -> str:
        return str(self._ec2.create_security_group(GroupName=name, Description="x", VpcId=self.vpc)["GroupId"])

    def balancer(self, settings: dict[str, Any] | None = None, **changes: Any) -> LoadBalancer:
        where = {"vpc_id": self.vpc, "subnet_ids": self.subnets, "security_group_ids": (self.group,)}
        return make_alb(settings=settings, **(where | changes))

    def bucket(self) -> str:
        boto3.client("s3", region_name=REGION).create_bucket(Bucket="alb-logs")
        return "alb-logs"

    def other_group(self) -> str:
        return self._group("two")

    def function_arn(self) -> str:
        iam: Any = boto3.client("iam", region_name=REGION)
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as packed:
            packed.writestr("m.py", "def handler(event, context): pass")
        made = boto3.client("lambda", region_name=REGION).create_function(
            FunctionName=NAME, Runtime="python3.12", Role=role, Handler="m.handler", Code={"ZipFile": code.getvalue()}
        )
        return made["FunctionArn"]

    def their_alb(self, balancer: LoadBalancer) -> str:
        made = self._elb.create_load_balancer(Name="theirs", Subnets=list(self.subnets), Scheme="internal")
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    def their_listener(self, alb_arn: str) -> str:
        answer = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": "x"}
        actions = [{"Type": "fixed-response", "FixedResponseConfig": answer}]
        made = self._elb.create_listener(LoadBalancerArn=alb_arn, Port=80, Protocol="HTTP", DefaultActions=actions)
        return str(made["Listeners"][0]["ListenerArn"])

    def their_rule(self, listener_arn: str, priority: int, host: str) -> None:
        answer = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": "x"}
        method = {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET"]}}
        self._elb.create_rule(
            ListenerArn=listener_arn,
            Priority=priority,
            Conditions=[{"Field": "host-header", "Values": [host]}, method],
            Actions=[{"Type": "fixed-response", "FixedResponseConfig": answer}],
        )

    def certificate(self, *names: str) -> str:
        acm: Any = boto3.client("acm", region_name=REGION)
        asked = {"SubjectAlternativeNames": list(names)} if len(names) > 1 else {}
        arn = str(acm.request_certificate(DomainName=names[0], ValidationMethod="DNS", **asked)["CertificateArn"])
        acm.describe_certificate(CertificateArn=arn)
        acm_backends["123456789012"][REGION]._certificates[arn].status = "ISSUED"
        return arn

    def zone(self, name: str) -> str:
        route53: Any = boto3.client("route53", region_name=REGION)
        made = route53.create_hosted_zone(Name=name, CallerReference=name)
        return str(made["HostedZone"]["Id"]).rsplit("/", 1)[1]

    def their_record(self, zone_id: str, name: str, address: str) -> None:
        record = {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": address}]}
        changes = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
        boto3.client("route53", region_name=REGION).change_resource_record_sets(  # type: ignore[call-overload]
            HostedZoneId=zone_id, ChangeBatch=changes
        )

    def route_out(self, balancer: LoadBalancer, subnet_id: str) -> None:
        gateway = self._ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self._ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=balancer.vpc_id)
        table = self._ec2.create_route_table(VpcId=balancer.vpc_id)["RouteTable"]["RouteTableId"]
        self._ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        self._ec2.associate_route_table(RouteTableId=table, SubnetId=subnet_id)


Bench = InMemory | Aws


@contextmanager
def bench_of(kind: str) -> Iterator[Bench]:
    if kind == "memory":
        yield InMemory()
        return
    with fresh_aws():
        yield Aws()
