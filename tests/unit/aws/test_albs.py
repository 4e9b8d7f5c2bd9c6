"""Elastic Load Balancing on the wire: what moto does not answer, and what of it is not ours to understand."""

from __future__ import annotations

import pytest

from chalicelib.adapters.aws.alb_actions import action_of, conditions_of
from chalicelib.adapters.aws.albs import AwsAlbs
from chalicelib.adapters.aws.dns_records import Route53Records
from chalicelib.adapters.aws.target_groups import AwsTargetGroups
from chalicelib.domain.alb_seen import Fixed, Forward, OtherAction, Redirect
from chalicelib.domain.errors import CloudError, NotYetError
from tests.builders import make_alb
from tests.unit.aws.conftest import refusal

ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/as-lb-2/50dc6c495c0c9188"
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/as-ru-a/73e2d6bc24d8a067"


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([{"Type": "forward", "TargetGroupArn": GROUP}], Forward(((GROUP, 1),))),
        (
            [
                {
                    "Type": "forward",
                    "ForwardConfig": {
                        "TargetGroups": [{"TargetGroupArn": GROUP, "Weight": 0}],
                        "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60},
                    },
                }
            ],
            Forward(((GROUP, 0),), sticky=True),
        ),
        ([{"Type": "authenticate-oidc"}, {"Type": "forward", "TargetGroupArn": GROUP}], OtherAction()),
        ([{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_302"}}], OtherAction()),
        (
            [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Protocol": "HTTPS"}}],
            Redirect("HTTPS", "#{port}", "#{host}", "/#{path}", "#{query}"),
        ),
        ([{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}], OtherAction()),
        (
            [
                {
                    "Type": "fixed-response",
                    "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/html", "MessageBody": "x"},
                }
            ],
            Fixed("x"),
        ),
        ([], OtherAction()),
    ],
)
def test_an_action_is_understood_whole_or_is_another(actions, expected):
    assert action_of(actions) == expected


def test_conditions_are_read_in_both_of_the_ways_that_elb_writes_them_and_others_narrow():
    hosts = {"Field": "host-header", "Values": ["A.example.com"], "HostHeaderConfig": {"Values": ["A.example.com"]}}
    old = {"Field": "path-pattern", "Values": ["/x/*"]}
    assert conditions_of([hosts, old]) == ({"a.example.com"}, {"/x/*"}, False)
    address = {"Field": "source-ip", "SourceIpConfig": {"Values": ["192.0.2.0/24"]}}
    assert conditions_of([hosts, address])[2]
    assert conditions_of([old, old])[2], "both must hold, which is less than either"


def test_one_of_our_name_without_our_tag_is_refused_and_never_touched(wire):
    wire.tap("elbv2")
    found = {"LoadBalancerArn": ARN, "State": {"Code": "active"}}
    wire.on["DescribeLoadBalancers"] = lambda _: {"LoadBalancers": [found]}
    other = [{"Key": "autostop:load-balancer", "Value": "lb_2"}, {"Key": "autostop:stage", "Value": "prod"}]
    wire.on["DescribeTags"] = lambda _: {"TagDescriptions": [{"ResourceArn": ARN, "Tags": other}]}
    wire.on["DescribeLoadBalancerAttributes"] = lambda _: {"Attributes": []}
    with pytest.raises(CloudError, match="is not AutoStop's"):
        AwsAlbs("test").find(make_alb())
    assert AwsAlbs("prod").find(make_alb()).ours


def test_targets_that_are_being_drained_are_no_targets_any_more(wire):
    wire.tap("elbv2")
    mine = [{"Key": "autostop:load-balancer", "Value": "lb_2"}, {"Key": "autostop:stage", "Value": "test"}]
    group = {"TargetGroupArn": GROUP, "TargetGroupName": "as-ru-a", "TargetType": "ip", "Protocol": "HTTP"}
    wire.on["DescribeTargetGroups"] = lambda _: {"TargetGroups": [group]}
    wire.on["DescribeTags"] = lambda _: {"TagDescriptions": [{"ResourceArn": GROUP, "Tags": mine}]}
    wire.on["DescribeTargetHealth"] = lambda _: {
        "TargetHealthDescriptions": [
            {"Target": {"Id": "10.0.0.1", "Port": 80}, "TargetHealth": {"State": "draining"}},
            {"Target": {"Id": "10.0.0.2", "Port": 80}, "TargetHealth": {"State": "unhealthy"}},
        ]
    }
    (found,) = AwsTargetGroups("test").find(make_alb())
    assert found.targets == {("10.0.0.2", 80)}


def test_tags_are_asked_for_twenty_at_a_time(wire):
    wire.tap("elbv2")
    arns = [f"{GROUP[:-2]}{n:02d}" for n in range(41)]
    groups = [{"TargetGroupArn": arn, "TargetGroupName": f"as-{n}"} for n, arn in enumerate(arns)]
    wire.on["DescribeTargetGroups"] = lambda _: {
        "TargetGroups": [*groups, {"TargetGroupArn": "x", "TargetGroupName": "web"}]
    }
    wire.on["DescribeTags"] = lambda asked: {
        "TagDescriptions": [{"ResourceArn": arn, "Tags": []} for arn in asked["ResourceArns"]]
    }
    assert AwsTargetGroups("test").find(make_alb()) == []
    assert [len(asked["ResourceArns"]) for asked in wire.asked("DescribeTags")] == [20, 20, 1]


def test_a_group_that_is_still_in_use_can_go_later(wire):
    wire.tap("elbv2")

    def refuse(_):
        raise refusal("ResourceInUse", operation="DeleteTargetGroup")

    wire.on["DeleteTargetGroup"] = refuse
    with pytest.raises(NotYetError):
        AwsTargetGroups("test").delete(make_alb(), GROUP)


def test_an_alias_written_by_the_console_is_still_the_one_to_the_alb(wire):
    wire.tap("route53")
    alias = {"HostedZoneId": "ZELB", "DNSName": "dualstack.AS-lb.elb.amazonaws.com.", "EvaluateTargetHealth": True}
    record = {"Name": "\\052.example.com.", "Type": "A", "AliasTarget": alias}
    wire.on["ListResourceRecordSets"] = lambda _: {"ResourceRecordSets": [record]}
    wire.on["ChangeResourceRecordSets"] = lambda _: {}
    records = Route53Records()
    records.delete("Z1", "*.example.com", ("other.elb.amazonaws.com", "ZELB"))
    assert wire.asked("ChangeResourceRecordSets") == []
    records.delete("Z1", "*.example.com", ("as-lb.elb.amazonaws.com", "ZELB"))
    (asked,) = wire.asked("ChangeResourceRecordSets")
    assert asked["ChangeBatch"]["Changes"] == [{"Action": "DELETE", "ResourceRecordSet": record}]
