"""An ALB through the functions as in Lambda, on moto: each call is held against the policy of who makes it."""

from __future__ import annotations

import io
import json
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.acm.models import acm_backends

from chalicelib.bootstrap import provisioning
from scripts.policies import boundary, policy
from tests.contract.conftest_aws import REGION
from tests.unit.entrypoints.test_policies import ACCOUNT, needs
from tests.unit.entrypoints.test_policies import call_api as caller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.entrypoints.conftest import Stage

ROOT = Path(__file__).parent.parent.parent.parent
FUNCTION = "autostop-test-warm_up"
NEW = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}"
SEEN_BY_ELB = "ec2:GetSecurityGroupsForVpc"
"""Asked for with the rights of who puts a load balancer into groups; without it AWS refuses to make one.
https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/3917"""
UNTAGGED = {"elasticloadbalancing:SetRulePriorities", "elasticloadbalancing:SetWebAcl"}
"""The only changes for which the reference of `asked` has no key for the tags of a resource."""
KINDS = ("LoadBalancerArn", "ListenerArn", "RuleArn", "TargetGroupArn")


def asked(service: str, operation: str, params: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The action and the resource of each permission that AWS asks for.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
    """
    if service == "elbv2":
        action = f"elasticloadbalancing:{operation}"
        if operation in {"CreateLoadBalancer", "SetSecurityGroups"}:
            yield SEEN_BY_ELB, "*"
        if operation.startswith("Describe"):
            yield action, "*"
        elif operation == "CreateLoadBalancer":
            yield action, f"{NEW}:loadbalancer/app/{params['Name']}/50dc6c495c0c9188"
            yield "elasticloadbalancing:AddTags", f"{NEW}:loadbalancer/app/{params['Name']}/50dc6c495c0c9188"
        elif operation == "CreateTargetGroup":
            yield action, f"{NEW}:targetgroup/{params['Name']}/50dc6c495c0c9188"
            yield "elasticloadbalancing:AddTags", f"{NEW}:targetgroup/{params['Name']}/50dc6c495c0c9188"
        elif operation == "SetRulePriorities":
            for one in params["RulePriorities"]:
                yield action, one["RuleArn"]
        else:
            yield action, next(params[kind] for kind in KINDS if kind in params)
    elif service == "lambda":
        yield f"lambda:{operation}", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{params['FunctionName']}"
    elif service == "route53":
        yield f"route53:{operation}", f"arn:aws:route53:::hostedzone/{params.get('HostedZoneId') or params['Id']}"
    elif service == "acm":
        yield f"acm:{operation}", params["CertificateArn"]
    else:
        yield from needs(service, operation, params)


def refused(stage: Stage, document: dict[str, Any]) -> list[tuple[str, str]]:
    assert stage.calls, "it asked for nothing, which proves nothing"

    def allowed(action: str, resource: str) -> bool:
        return any(
            any(fnmatchcase(action, one) for one in statement["Action"])
            and any(fnmatchcase(resource, one) for one in statement["Resource"])
            for statement in document["Statement"]
        )

    wanted = {need for call in stage.calls for need in asked(*call)}
    return sorted(need for need in wanted if not allowed(*need))


@pytest.fixture
def account(stage: Stage) -> Iterator[dict[str, Any]]:
    """A network over two zones, a certificate, a zone and the warm-up function; gone after the test."""
    ec2: Any = boto3.client("ec2", region_name=REGION)
    route53: Any = boto3.client("route53", region_name=REGION)
    iam: Any = boto3.client("iam", region_name=REGION)
    functions: Any = boto3.client("lambda", region_name=REGION)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate("ab")
    ]
    group = ec2.create_security_group(GroupName="alb", Description="x", VpcId=vpc)["GroupId"]
    acm: Any = boto3.client("acm", region_name=REGION)
    certificate = acm.request_certificate(DomainName="*.x.example.com", ValidationMethod="DNS")["CertificateArn"]
    acm_backends[ACCOUNT][REGION]._certificates[certificate].status = "ISSUED"
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="c")["HostedZone"]["Id"].rsplit("/", 1)[1]
    role = iam.create_role(RoleName="warm-up", AssumeRolePolicyDocument=json.dumps({"Statement": []}))["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as packed:
        packed.writestr("m.py", "def handler(event, context): pass")
    functions.create_function(
        FunctionName=FUNCTION, Runtime="python3.12", Role=role, Handler="m.handler", Code={"ZipFile": code.getvalue()}
    )
    stage.calls.clear()
    yield {
        "kind": "alb",
        "name": "dev alb",
        "region": REGION,
        "scheme": "internal",
        "vpc_id": vpc,
        "subnet_ids": subnets,
        "security_group_ids": [group],
        "certificate_arn": certificate,
        "domain": "*.x.example.com",
        "hosted_zone_id": zone,
    }
    functions.delete_function(FunctionName=FUNCTION)
    iam.delete_role(RoleName="warm-up")


def work(stage: Stage, id_: str) -> None:
    """What the provision function does, its calls alone recorded."""
    stage.calls.clear()
    provisioning.provisioner().run(id_, at_once=True)


def test_an_alb_lives_and_dies_within_the_policies(stage: Stage, account: dict[str, Any]) -> None:
    call = caller(stage)
    instance = stage.instance()
    stage.calls.clear()
    id_ = call("POST", "/load-balancers", account).json_body["id"]
    path = f"/load-balancers/{id_}"
    mine = list(stage.calls)
    done = []
    work(stage, id_)
    done += stage.calls
    shown = call("GET", path).json_body
    assert (shown["status"], [one["port"] for one in shown["listeners"]]) == ("ready", [80, 443]), shown
    stage.calls.clear()
    body = {
        "name": "site",
        "load_balancer_id": id_,
        "resources": {"kind": "ec2", "region": REGION, "instance_ids": [instance]},
        "http": [
            {
                "hosts": ["a.x.example.com"],
                "listen": {"protocol": "https"},
                "target": {"protocol": "http", "port": 8080},
            }
        ],
        "health_check": {"protocol": "http", "port": 8080},
    }
    rule = call("POST", "/rules", body).json_body["id"]
    call("GET", path)
    mine += stage.calls
    work(stage, id_)
    done += stage.calls
    elb: Any = boto3.client("elbv2", region_name=REGION)
    groups = {one["TargetGroupName"] for one in elb.describe_target_groups()["TargetGroups"]}
    assert groups == {f"as-{one.replace('_', '-')}"[:32] for one in (rule, id_)}
    (drifted,) = [
        one for one in elb.describe_rules(ListenerArn=shown["listeners"][1]["arn"])["Rules"] if not one["IsDefault"]
    ]
    conditions = [{"Field": "host-header", "HostHeaderConfig": {"Values": ["evil.example.com"]}}]
    elb.modify_rule(RuleArn=drifted["RuleArn"], Conditions=conditions)
    work(stage, id_)
    done += stage.calls
    events = call("GET", "/events").json_body["items"]
    assert [one["kind"] for one in events].count("load_balancer_drift") == 1
    call("PUT", f"/rules/{rule}", body | {"health_check": {"protocol": "http", "port": 9090}})
    work(stage, id_)
    done += stage.calls
    call("DELETE", f"/rules/{rule}")
    work(stage, id_)
    done += stage.calls
    call("PUT", path, account | {"certificate_arn": None, "hosted_zone_id": None})
    work(stage, id_)
    done += stage.calls
    call("DELETE", path)
    work(stage, id_)
    done += stage.calls
    assert elb.describe_load_balancers()["LoadBalancers"] == []
    assert elb.describe_target_groups()["TargetGroups"] == []
    stage.calls[:] = mine
    assert refused(stage, json.loads((ROOT / ".chalice" / "policy-api_handler.json").read_text())) == []
    stage.calls[:] = done
    assert {"CreateRule", "ModifyRule", "DeleteRule", "ChangeResourceRecordSets", "AddPermission"} <= {
        operation for _, operation, _ in done
    }
    assert refused(stage, json.loads((ROOT / ".chalice" / "policy-provision.json").read_text())) == []
    assert refused(stage, boundary("provision")) == [], "what the policy allows, its boundary must not take away"


def statements(document: dict[str, Any], action: str) -> list[dict[str, Any]]:
    return [one for one in document["Statement"] if any(fnmatchcase(action, each) for each in one["Action"])]


@pytest.mark.parametrize("document", [policy("provision"), boundary("provision")])
@pytest.mark.parametrize(
    "action",
    ["ModifyRule", "DeleteRule", "DeleteLoadBalancer", "ModifyListener", "DeleteListener"],
)
def test_what_has_not_our_tag_may_not_be_changed(document: dict[str, Any], action: str) -> None:
    found = statements(document, f"elasticloadbalancing:{action}")
    assert found
    assert all(one["Condition"] == {"Null": {"aws:ResourceTag/autostop:load-balancer": "false"}} for one in found)


@pytest.mark.parametrize("document", [policy("provision"), boundary("provision")])
def test_the_order_of_rules_hangs_on_no_tag_because_aws_names_none_when_it_checks_that(
    document: dict[str, Any],
) -> None:
    for action in UNTAGGED:
        assert not any("aws:ResourceTag" in json.dumps(one.get("Condition")) for one in statements(document, action))
    (order,) = statements(document, "elasticloadbalancing:SetRulePriorities")
    assert order["Resource"] == ["arn:*:elasticloadbalancing:*:*:listener-rule/app/*"]


@pytest.mark.parametrize("document", [policy("provision"), boundary("provision")])
def test_nothing_is_made_without_our_tag_and_nothing_is_tagged_later(document: dict[str, Any]) -> None:
    for action in ("CreateRule", "CreateListener", "CreateLoadBalancer", "CreateTargetGroup"):
        (one,) = statements(document, f"elasticloadbalancing:{action}")
        assert one["Condition"] == {"Null": {"aws:RequestTag/autostop:load-balancer": "false"}}
    (tags,) = statements(document, "elasticloadbalancing:AddTags")
    assert "elasticloadbalancing:CreateAction" in tags["Condition"]["StringEquals"]
    assert statements(document, "elasticloadbalancing:RemoveTags") == []


def test_the_api_changes_nothing_of_load_balancers() -> None:
    found = [action for one in policy("api_handler")["Statement"] for action in one["Action"]]
    assert all("Describe" in action for action in found if action.startswith("elasticloadbalancing:"))
    assert not [action for action in found if action.startswith("route53:Change")]
