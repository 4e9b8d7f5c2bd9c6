"""The base stack: tables, queue with dead-letter queue, log group. `python -m scripts.base_stack STAGE` prints it."""

from __future__ import annotations

import json
import sys
from typing import Any

from chalicelib.adapters.dynamodb.tables import table_resources

VISIBILITY = 360
"""Seconds: six times the worker's timeout, as AWS asks of queues that feed functions.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""


def template(stage: str) -> dict[str, Any]:
    """The CloudFormation template of one stage; of the stage `local`, everything goes with the stack."""
    prefix = f"autostop-{stage}"
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"AutoStop, stage {stage}: what keeps state",
        "Resources": {
            **table_resources(f"{prefix}-", protect=stage != "local"),
            "DeadLetters": {
                "Type": "AWS::SQS::Queue",
                "Properties": {"QueueName": f"{prefix}-dead-letters", "MessageRetentionPeriod": 1209600},
            },
            "Reconcile": {
                "Type": "AWS::SQS::Queue",
                "Properties": {
                    "QueueName": f"{prefix}-reconcile",
                    "VisibilityTimeout": VISIBILITY,
                    "MessageRetentionPeriod": 3600,
                    "RedrivePolicy": {
                        "deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]},
                        "maxReceiveCount": 3,
                    },
                },
            },
            "ProxyLogs": {
                "Type": "AWS::Logs::LogGroup",
                "Properties": {"LogGroupName": f"/autostop/{stage}/proxy", "RetentionInDays": 7},
            },
        },
        "Outputs": {"QueueUrl": {"Value": {"Ref": "Reconcile"}}},
    }


def subscription(stage: str) -> dict[str, Any]:
    """What Chalice cannot say: merged into the packaged template (`chalice package --merge-template`)."""
    group = f"/autostop/{stage}/proxy"
    source = {"Fn::Sub": f"arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:{group}:*"}
    return {
        "Resources": {
            "ProxyLogsPermission": {
                "Type": "AWS::Lambda::Permission",
                "Properties": {
                    "Action": "lambda:InvokeFunction",
                    "FunctionName": {"Fn::GetAtt": ["ProxyLogs", "Arn"]},
                    "Principal": "logs.amazonaws.com",
                    "SourceArn": source,
                },
            },
            "ProxyLogsSubscription": {
                "Type": "AWS::Logs::SubscriptionFilter",
                "DependsOn": "ProxyLogsPermission",
                "Properties": {
                    "LogGroupName": group,
                    "FilterPattern": "",
                    "DestinationArn": {"Fn::GetAtt": ["ProxyLogs", "Arn"]},
                },
            },
        }
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(template(sys.argv[1]), indent=2) + "\n")
