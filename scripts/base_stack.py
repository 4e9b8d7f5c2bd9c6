"""The base stack: tables, queues, log group, permissions boundary. `python -m scripts.base_stack STAGE` prints it."""

from __future__ import annotations

import json
import sys
from typing import Any

from chalicelib.adapters.dynamodb.tables import table_resources
from scripts import policies

VISIBILITY = 6
"""Times the function's timeout: what AWS asks of queues that feed functions.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""


API_TRACED = 0.01
"""Of the requests to the API, most of which are polls and reports of proxies: a trace costs more than its request."""


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
                "Properties": {"LogGroupName": f"/autostop/{stage}/flow", "RetentionInDays": 1},
            },
            "FlowLogsRole": _flow_logs_role(stage),
            "ProxyLogs": {
                "Type": "AWS::Logs::LogGroup",
                "Properties": {"LogGroupName": f"/autostop/{stage}/proxy", "RetentionInDays": 7},
            },
            # The embedded cloud traces nothing, and has no such rules.
            **({} if stage == "local" else _sampling(stage)),
        },
        "Outputs": {
            "QueueUrl": {"Value": {"Ref": "Reconcile"}},
            "ProvisionQueueUrl": {"Value": {"Ref": "Provision"}},
            "ProxyBoundaryArn": {"Value": {"Ref": "ProxyBoundary"}},
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


def _subscribed(function: str, group: str) -> dict[str, Any]:
    """A function that is sent what comes to a log group."""
    source = {"Fn::Sub": f"arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:{group}:*"}
    return {
        f"{function}Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Fn::GetAtt": [function, "Arn"]},
                "Principal": "logs.amazonaws.com",
                "SourceArn": source,
            },
        },
        f"{function}Subscription": {
            "Type": "AWS::Logs::SubscriptionFilter",
            "DependsOn": f"{function}Permission",
            "Properties": {
                "LogGroupName": group,
                "FilterPattern": "",
                "DestinationArn": {"Fn::GetAtt": [function, "Arn"]},
            },
        },
    }


def _alb_logs(stage: str) -> dict[str, Any]:
    """A bucket for the access logs of ALBs, which tells the function of each file; or one of the user's own is used.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
    """
    bucket = {"Fn::Sub": f"autostop-{stage}-alb-logs-${{AWS::AccountId}}-${{AWS::Region}}"}
    arn = f"arn:${{AWS::Partition}}:s3:::autostop-{stage}-alb-logs-${{AWS::AccountId}}-${{AWS::Region}}"
    function = {"Fn::GetAtt": ["AlbLogs", "Arn"]}
    only_logs = {"S3Key": {"Rules": [{"Name": "suffix", "Value": ".log.gz"}]}}
    told = {"Event": "s3:ObjectCreated:*", "Filter": only_logs, "Function": function}
    # Elastic Load Balancing can write to no bucket that is encrypted with a KMS key.
    encrypted = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    return {
        "AlbLogsPermission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": function,
                "Principal": "s3.amazonaws.com",
                "SourceAccount": {"Ref": "AWS::AccountId"},
                "SourceArn": {"Fn::Sub": arn},
            },
        },
        "AlbLogsBucket": {
            "Type": "AWS::S3::Bucket",
            "DependsOn": "AlbLogsPermission",
            "Properties": {
                "BucketName": bucket,
                "BucketEncryption": {"ServerSideEncryptionConfiguration": [encrypted]},
                "LifecycleConfiguration": {"Rules": [{"Status": "Enabled", "ExpirationInDays": 7}]},
                "NotificationConfiguration": {"LambdaConfigurations": [told]},
                "PublicAccessBlockConfiguration": dict.fromkeys(closed, True),
            },
        },
        "AlbLogsBucketPolicy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {
                "Bucket": {"Ref": "AlbLogsBucket"},
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
                            "Action": "s3:PutObject",
                            "Resource": {"Fn::Sub": f"{arn}/*AWSLogs/${{AWS::AccountId}}/*"},
                        }
                    ],
                },
            },
        },
    }


def _queue(name: str, timeout: int) -> dict[str, Any]:
    """A queue in front of a function that runs for `timeout` seconds at most; what fails three times is kept."""
    return {
        "Type": "AWS::SQS::Queue",
        "Properties": {
            "QueueName": name,
            "VisibilityTimeout": VISIBILITY * timeout,
            "MessageRetentionPeriod": 3600,
            "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}, "maxReceiveCount": 3},
        },
    }


def merged(stage: str) -> dict[str, Any]:
    """What Chalice cannot say: merged into the packaged template (`chalice package --merge-template`)."""
    boundary = f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:policy/autostop-{stage}-provision-boundary"
    # CloudFormation names functions itself; only `chalice deploy` names them after the app and the stage.
    warm_up = {"AUTOSTOP_WARM_UP_FUNCTION_ARN": {"Fn::GetAtt": ["WarmUp", "Arn"]}}
    knows_it = {"Properties": {"Environment": {"Variables": warm_up}}}
    return {
        "Resources": {
            **_alb_logs(stage),
            **_subscribed("FlowLogs", f"/autostop/{stage}/flow"),
            **_subscribed("ProxyLogs", f"/autostop/{stage}/proxy"),
            "RestAPI": {"Properties": {"TracingEnabled": True}},
            "APIHandler": knows_it,
            "Provision": knows_it,
            "ProvisionSweep": knows_it,
            "ProvisionRole": {"Properties": {"PermissionsBoundary": {"Fn::Sub": boundary}}},
        }
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(template(sys.argv[1]), indent=2) + "\n")
