"""The flow logs of chosen subnets, made and taken away on moto."""

from __future__ import annotations

import sys

import boto3
import pytest

from scripts import flow_logs
from tests.contract.conftest_aws import REGION, fresh_aws


@pytest.fixture
def subnets():
    with fresh_aws():
        ec2 = boto3.client("ec2", region_name=REGION)
        boto3.client("logs", region_name=REGION).create_log_group(logGroupName="/autostop/dev/flow")
        boto3.client("iam").create_role(RoleName="autostop-dev-flow-logs", AssumeRolePolicyDocument="{}")
        yield [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]][:2]


def standing():
    ec2 = boto3.client("ec2", region_name=REGION)
    return {one["ResourceId"]: one for one in ec2.describe_flow_logs()["FlowLogs"]}


def test_each_subnet_has_one_with_windows_of_a_minute_and_no_second(subnets):
    assert len(flow_logs.put("dev", subnets[:1], REGION)) == 1
    assert len(flow_logs.put("dev", subnets, REGION)) == 1
    assert flow_logs.put("dev", subnets, REGION) == []
    found = standing()
    assert found.keys() == set(subnets)
    one = found[subnets[0]]
    assert (one["LogGroupName"], one["TrafficType"], one["MaxAggregationInterval"]) == ("/autostop/dev/flow", "ALL", 60)
    assert one["DeliverLogsPermissionArn"].endswith(":role/autostop-dev-flow-logs")


def test_only_what_was_made_is_taken_away(subnets):
    flow_logs.put("dev", subnets, REGION)
    assert len(flow_logs.remove("dev", subnets[:1], REGION)) == 1
    assert flow_logs.remove("prod", subnets, REGION) == []
    assert standing().keys() == {subnets[1]}


def test_the_command_says_what_it_did(subnets, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["flow_logs", "dev", *subnets, "--region", REGION])
    flow_logs.main()
    flow_logs.main()
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("Made fl-")
    assert said[1] == "Nothing to do."
