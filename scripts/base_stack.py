"""The base stack: tables, queues, log group, permissions boundary. `python -m scripts.base_stack STAGE` prints it."""

from __future__ import annotations

import json
import sys
from typing import Any

from chalicelib.adapters.dynamodb.tables import table_resources
from scripts import base_alarms, policies

CLOSED = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
"""What keeps a bucket private, whatever somebody does to it later."""

GOES = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
"""With the stack: messages and lines live for days anyway."""

VISIBILITY = 6
"""Times the function's timeout: what AWS asks of queues that feed functions.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""


API_TRACED = 0.01
"""Of the requests to the API, most of which are polls and reports of proxies: a trace costs more than its request."""


def template(stage: str, *, traced: bool = True) -> dict[str, Any]:
    """The CloudFormation template of one stage; of the stage `local`, everything goes with the stack.

    `traced`: X-Ray is there, which an emulator has not.
    """
    prefix = f"autostop-{stage}"
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"AutoStop, stage {stage}: what keeps state",
        "Resources": {
            **table_resources(f"{prefix}-", protect=stage != "local"),
            "DeadLetters": {
                "Type": "AWS::SQS::Queue",
                **GOES,
                "Properties": {"QueueName": f"{prefix}-dead-letters", "MessageRetentionPeriod": 1209600},
            },
            "Reconcile": _queue(f"{prefix}-reconcile", 60),
            "Provision": _queue(f"{prefix}-provision", 150),
            "ProxyBoundary": {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {
                    "ManagedPolicyName": f"{prefix}-proxy-boundary",
                    "Description": "The most that the role of a proxy's VM can ever be allowed",
                    "PolicyDocument": proxy_boundary(stage),
                },
            },
            "ProvisionBoundary": {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {
                    "ManagedPolicyName": f"{prefix}-provision-boundary",
                    "Description": "The most that the function which makes proxies can ever be allowed",
                    "PolicyDocument": policies.boundary("provision"),
                },
            },
            "FlowLogs": {
                "Type": "AWS::Logs::LogGroup",
                **GOES,
                "Properties": {"LogGroupName": f"/autostop/{stage}/flow", "RetentionInDays": 1},
            },
            "FlowLogsRole": _flow_logs_role(stage),
            "ProxyLogs": {
                "Type": "AWS::Logs::LogGroup",
                **GOES,
                "Properties": {"LogGroupName": f"/autostop/{stage}/proxy", "RetentionInDays": 7},
            },
            **_function_logs(stage),
            "State": _state(stage),
            **base_alarms.resources(stage),
            **(_sampling(stage) if traced else {}),
        },
        "Outputs": {
            "QueueUrl": {"Value": {"Ref": "Reconcile"}},
            "ProvisionQueueUrl": {"Value": {"Ref": "Provision"}},
            "ProxyBoundaryArn": {"Value": {"Ref": "ProxyBoundary"}},
            "StateBucket": {"Value": {"Ref": "State"}},
            "AlarmTopicArn": {"Value": {"Ref": "Alarms"}},
        },
    }


def _sampling(stage: str) -> dict[str, Any]:
    """API Gateway decides which requests are traced, and Lambda goes by what it decided. It knows no paths in rules.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-configuring-xray-sampling-rules.html
    """
    rule = {
        "RuleName": f"autostop-{stage}-api",
        "Priority": 1000,
        "FixedRate": API_TRACED,
        "ReservoirSize": 0,
        "ServiceName": "autostop/*",  # API and stage, as Chalice names them
        "ServiceType": "AWS::ApiGateway::Stage",
        "Host": "*",
        "HTTPMethod": "*",
        "URLPath": "*",
        "ResourceARN": "*",
        "Version": 1,
    }
    return {"ApiSampling": {"Type": "AWS::XRay::SamplingRule", "Properties": {"SamplingRule": rule}}}


def variables(outputs: dict[str, str]) -> dict[str, str]:
    """The environment of every function, as far as this stack made it."""
    return {
        "AUTOSTOP_QUEUE_URL": outputs["QueueUrl"],
        "AUTOSTOP_PROVISION_QUEUE_URL": outputs["ProvisionQueueUrl"],
        "AUTOSTOP_PROXY_BOUNDARY_ARN": outputs["ProxyBoundaryArn"],
    }


def proxy_boundary(stage: str) -> dict[str, Any]:
    """Reads secrets, and writes the log streams of proxies: whatever the `provision` function may give to a role."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
                "Resource": "arn:*:secretsmanager:*:*:secret:*",
            },
            {
                "Effect": "Allow",
                "Action": "kms:Decrypt",
                "Resource": "*",
                "Condition": {"StringLike": {"kms:ViaService": "secretsmanager.*.amazonaws.com"}},
            },
            {
                "Effect": "Allow",
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": f"arn:*:logs:*:*:log-group:/autostop/{stage}/proxy:log-stream:lb_*",
            },
        ],
    }


def _flow_logs_role(stage: str) -> dict[str, Any]:
    """With which VPC flow logs write to their group.

    https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
    """
    where = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group"
    group = {"Fn::Sub": f"{where}:/autostop/{stage}/flow:*"}
    writes = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": f"autostop-{stage}-flow-logs",
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
                    }
                ],
            },
            "Policies": [
                {
                    "PolicyName": "write",
                    "PolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [{"Effect": "Allow", "Action": writes, "Resource": group}],
                    },
                }
            ],
        },
    }


def _function_logs(stage: str) -> dict[str, Any]:
    """The functions' own log groups, so that none of them keeps its lines for ever.

    Where the functions ran before this stack was there, the groups exist: `Retain` lets CloudFormation take them on.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
    """
    return {
        f"{logical_name(function)}Lines": {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {"LogGroupName": log_group_of(stage, function), "RetentionInDays": 30},
        }
        for function in policies.TABLES
    }


def _state(stage: str) -> dict[str, Any]:
    """What a deploy leaves for the next one, from whatever checkout: `scripts/deployment` writes it."""
    name = {"Fn::Sub": f"autostop-{stage}-state-${{AWS::AccountId}}-${{AWS::Region}}"}
    return {
        "Type": "AWS::S3::Bucket",
        **GOES,
        "Properties": {
            "BucketName": name,
            "VersioningConfiguration": {"Status": "Enabled"},
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "LifecycleConfiguration": {
                "Rules": [{"Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 90}}]
            },
            "PublicAccessBlockConfiguration": dict.fromkeys(CLOSED, True),
        },
    }


def function_name(stage: str, function: str) -> str:
    """As `chalice deploy` names it: the one of the API after the app and the stage alone."""
    return f"autostop-{stage}" if function == "api_handler" else f"autostop-{stage}-{function}"


def log_group_of(stage: str, function: str) -> str:
    """Where a function's lines go, however it was deployed."""
    return f"/aws/lambda/{function_name(stage, function)}"


def logical_name(function: str) -> str:
    """As `chalice package` names it in its template."""
    return "APIHandler" if function == "api_handler" else "".join(part.title() for part in function.split("_"))


def _queue(name: str, timeout: int) -> dict[str, Any]:
    """A queue in front of a function that runs for `timeout` seconds at most; what fails three times is kept."""
    return {
        "Type": "AWS::SQS::Queue",
        **GOES,
        "Properties": {
            "QueueName": name,
            "VisibilityTimeout": VISIBILITY * timeout,
            "MessageRetentionPeriod": 3600,
            "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}, "maxReceiveCount": 3},
        },
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(template(sys.argv[1]), indent=2) + "\n")
