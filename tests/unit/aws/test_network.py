"""What only AWS answers: filters with wildcards, sources of every kind, pages, secrets of other accounts."""

from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.adapters.aws.network import AwsNetwork
from chalicelib.domain.errors import CloudError
from tests.unit.aws.conftest import refusal

REGION = "us-east-1"
ARN = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:key-abcdef"


@pytest.fixture
def network(wire):
    wire.tap("ec2", REGION)
    wire.tap("secretsmanager", REGION)
    return AwsNetwork()


def answer_with_group(wire, **permission):
    group = {"GroupId": "sg-1", "VpcId": "vpc-1", "IpPermissions": [{"IpProtocol": "tcp"} | permission]}
    wire.on["DescribeSecurityGroups"] = lambda _: {"SecurityGroups": [group]}


@pytest.mark.parametrize(
    ("sources", "name"),
    [
        ({"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "0.0.0.0/0"),
        ({"Ipv6Ranges": [{"CidrIpv6": "::/0"}]}, "::/0"),
        ({"UserIdGroupPairs": [{"GroupId": "sg-9", "UserId": "1"}]}, "sg-9"),
        ({"PrefixListIds": [{"PrefixListId": "pl-1"}]}, "pl-1"),
    ],
)
def test_every_kind_of_source_counts_as_somebody(wire, network, sources, name):
    answer_with_group(wire, FromPort=22, ToPort=22, **sources)
    (rule,) = network.security_groups(REGION, ["sg-1"])["sg-1"].ingress
    assert rule.sources == (name,)
    assert rule.opens(22)


def test_a_rule_without_any_source_opens_nothing(wire, network):
    answer_with_group(wire, FromPort=22, ToPort=22, IpRanges=[], UserIdGroupPairs=[])
    (rule,) = network.security_groups(REGION, ["sg-1"])["sg-1"].ingress
    assert not rule.opens(22)


def test_what_a_wildcard_or_an_ignored_filter_finds_besides_is_left_out(wire, network):
    wire.on["DescribeKeyPairs"] = lambda _: {"KeyPairs": [{"KeyName": "ops-1"}, {"KeyName": "ops-2"}]}
    assert not network.has_key_pair(REGION, "ops-*")
    wire.on["DescribeVpcs"] = lambda _: {"Vpcs": [{"VpcId": "vpc-9", "CidrBlock": "10.0.0.0/16"}]}
    assert network.vpc(REGION, "vpc-1") is None
    answer_with_group(wire)
    assert network.security_groups(REGION, ["sg-2"]) == {}
    wire.on["DescribeSubnets"] = lambda _: {"Subnets": [{"SubnetId": "subnet-9", "VpcId": "vpc-1"}]}
    assert network.subnets(REGION, ["subnet-1"]) == {}


def test_a_backslash_in_the_name_of_a_key_is_no_escape(wire, network):
    wire.on["DescribeKeyPairs"] = lambda _: {"KeyPairs": [{"KeyName": "a\\b"}]}
    assert network.has_key_pair(REGION, "a\\b")
    assert wire.asked("DescribeKeyPairs")[0]["Filters"] == [{"Name": "key-name", "Values": ["a\\\\b"]}]


def test_every_page_of_offers_is_read(wire, network):
    def page(params):
        zone, more = ("a", {"NextToken": "2"}) if "NextToken" not in params else ("b", {})
        offer = {"InstanceType": "t3.micro", "LocationType": "availability-zone", "Location": REGION + zone}
        return {"InstanceTypeOfferings": [offer]} | more

    wire.on["DescribeInstanceTypeOfferings"] = page
    assert network.zones_offering(REGION, "t3.micro") == {f"{REGION}a", f"{REGION}b"}


def test_a_secret_is_described_and_never_read(wire, network):
    wire.on["DescribeSecret"] = lambda _: {"ARN": ARN}
    assert network.has_secret(ARN)
    assert list(wire.count) == ["DescribeSecret"]


def test_a_secret_that_we_may_not_see_is_a_failure_and_not_missing(wire, network):
    def refuse(_):
        raise refusal("AccessDeniedException", operation="DescribeSecret")

    wire.on["DescribeSecret"] = refuse
    with pytest.raises(CloudError, match="AccessDeniedException"):
        network.has_secret(ARN)


def test_a_broken_way_to_aws_is_an_error_that_a_retry_can_help(wire, network):
    def break_off(_):
        raise EndpointConnectionError(endpoint_url="https://ec2.us-east-1.amazonaws.com")

    wire.on["DescribeVpcs"] = break_off
    with pytest.raises(CloudError) as caught:
        network.vpc(REGION, "vpc-1")
    assert caught.value.retryable
