"""VPC flow logs of chosen subnets into the stage's log group: `python -m scripts.flow_logs STAGE SUBNET… [--remove]`.

The base stack has the group and the role. Windows of one minute, version 2: what `flow_logs` reads without any setting.
Run again it changes nothing; flow logs that others made stay.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW = 60
"""Seconds, the shorter of the two that there are."""

TAG = "autostop:stage"


def group_of(stage: str) -> str:
    """The log group of the stage."""
    return f"/autostop/{stage}/flow"


def ours(ec2: Any, stage: str) -> dict[str, str]:  # noqa: ANN401  (boto3's clients have no common type)
    """The ids of the stage's flow logs by subnet."""
    wanted = [{"Name": f"tag:{TAG}", "Values": [stage]}, {"Name": "log-group-name", "Values": [group_of(stage)]}]
    pages = ec2.get_paginator("describe_flow_logs").paginate(Filters=wanted)
    return {one["ResourceId"]: one["FlowLogId"] for page in pages for one in page["FlowLogs"]}


def put(stage: str, subnets: Sequence[str], region: str | None = None) -> list[str]:
    """Make what is missing; answers the ids of what was made. Raises RuntimeError with what AWS would not do."""
    ec2 = boto3.client("ec2", region_name=region)
    missing = [subnet for subnet in subnets if subnet not in ours(ec2, stage)]
    if not missing:
        return []
    role = boto3.client("iam").get_role(RoleName=f"autostop-{stage}-flow-logs")["Role"]["Arn"]
    answer = ec2.create_flow_logs(
        ResourceIds=missing,
        ResourceType="Subnet",
        TrafficType="ALL",
        LogDestinationType="cloud-watch-logs",
        LogGroupName=group_of(stage),
        DeliverLogsPermissionArn=role,
        MaxAggregationInterval=WINDOW,
        TagSpecifications=[{"ResourceType": "vpc-flow-log", "Tags": [{"Key": TAG, "Value": stage}]}],
    )
    _raise_for(answer)
    return list(answer["FlowLogIds"])


def remove(stage: str, subnets: Sequence[str], region: str | None = None) -> list[str]:
    """Take away what this made; answers the ids. Raises RuntimeError with what AWS would not do."""
    ec2 = boto3.client("ec2", region_name=region)
    ids = [id_ for subnet, id_ in ours(ec2, stage).items() if subnet in subnets]
    if ids:
        _raise_for(ec2.delete_flow_logs(FlowLogIds=ids))
    return ids


def _raise_for(answer: Any) -> None:  # noqa: ANN401  (as above)
    refused = [f"{one['ResourceId']}: {one['Error']['Message']}" for one in answer.get("Unsuccessful", ())]
    if refused:
        raise RuntimeError("; ".join(refused))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage")
    parser.add_argument("subnets", nargs="+", metavar="subnet")
    parser.add_argument("--region")
    parser.add_argument("--remove", action="store_true", help="take away the flow logs that this made")
    options = parser.parse_args()
    done = (remove if options.remove else put)(options.stage, options.subnets, options.region)
    verb = "Removed" if options.remove else "Made"
    sys.stdout.write(f"{verb} {', '.join(done)}.\n" if done else "Nothing to do.\n")


if __name__ == "__main__":
    main()
