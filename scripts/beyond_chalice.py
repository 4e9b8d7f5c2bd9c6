"""What Chalice cannot say, as CloudFormation; `python -m scripts.beyond_chalice STAGE` prints what is to be merged.

Two ways lead to the same: `merged` goes into the template of `chalice package --merge-template`, and `links` is a stack
of its own that `scripts/deploy` puts beside the functions which `chalice deploy` made.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from scripts import policies
from scripts.base_stack import CLOSED, function_name, log_group_of, logical_name

if TYPE_CHECKING:
    from collections.abc import Callable

    Arn = dict[str, Any]
    """A function's ARN, as a template refers to it."""

ONCE_A_MINUTE = frozenset({"tick"})
"""Nothing of it is worth a second try: the next one comes anyway, and sees the same and more."""


def links(stage: str) -> dict[str, Any]:
    """The stack beside `chalice deploy`, whose functions are known by their names."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"AutoStop, stage {stage}: what its functions are linked to",
        "Resources": _resources(stage, lambda function: _by_name(stage, function)),
    }


def merged(stage: str) -> dict[str, Any]:
    """Merged into the packaged template."""
    boundary = f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:policy/{provision_boundary(stage)}"
    functions: dict[str, Any] = {logical_name(name): _logs_to(stage, name) for name in policies.TABLES}
    # CloudFormation names functions itself; only `chalice deploy` names them after the app and the stage.
    for name in ("APIHandler", "Provision", "ProvisionSweep"):
        variables = {"AUTOSTOP_WARM_UP_FUNCTION_ARN": {"Fn::GetAtt": ["WarmUp", "Arn"]}}
        functions[name]["Properties"]["Environment"] = {"Variables": variables}
    return {
        "Resources": {
            **functions,
            **_resources(stage, lambda function: {"Fn::GetAtt": [logical_name(function), "Arn"]}),
            "ProvisionRole": {"Properties": {"PermissionsBoundary": {"Fn::Sub": boundary}}},
            # Who decides what is traced is API Gateway (base_stack.API_TRACED); `chalice deploy` has it so by itself.
            "RestAPI": {"Properties": {"TracingEnabled": True}},
        }
    }


def provision_boundary(stage: str) -> str:
    """The name of the policy that bounds the role which makes proxies and load balancers."""
    return f"autostop-{stage}-provision-boundary"


def _by_name(stage: str, function: str) -> Arn:
    name = function_name(stage, function)
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{name}"}


def _logs_to(stage: str, function: str) -> dict[str, Any]:
    """Into the group that the base stack made, which forgets."""
    return {"Properties": {"LoggingConfig": {"LogGroup": log_group_of(stage, function)}}}


def _resources(stage: str, arn: Callable[[str], Arn]) -> dict[str, Any]:
    found = {
        **_alb_logs(stage, arn("alb_logs")),
        **_subscribed("flow_logs", arn("flow_logs"), f"/autostop/{stage}/flow"),
        **_subscribed("proxy_logs", arn("proxy_logs"), f"/autostop/{stage}/proxy"),
    }
    for function in sorted(policies.INVOKED_BY_EVENTS):
        found[f"{logical_name(function)}Failures"] = _failures(stage, function, arn(function))
    return found


def _failures(stage: str, function: str, arn: Arn) -> dict[str, Any]:
    """What a function could not take in is kept, for a person to look at: an event that is lost says nothing.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    queue = f"arn:${{AWS::Partition}}:sqs:${{AWS::Region}}:${{AWS::AccountId}}:autostop-{stage}-dead-letters"
    once = function in ONCE_A_MINUTE
    return {
        "Type": "AWS::Lambda::EventInvokeConfig",
        "Properties": {
            # By its name, as an ARN is too long for this property where regions have long names.
            "FunctionName": {"Ref": arn["Fn::GetAtt"][0]} if "Fn::GetAtt" in arn else function_name(stage, function),
            "Qualifier": "$LATEST",
            "MaximumRetryAttempts": 0 if once else 2,
            "MaximumEventAgeInSeconds": 60 if once else 3600,
            "DestinationConfig": {"OnFailure": {"Destination": {"Fn::Sub": queue}}},
        },
    }


def filter_name(function: str) -> str:
    """Of the subscription by which a function is sent what comes to a log group."""
    return f"autostop-{function}"


def _subscribed(function: str, arn: Arn, group: str) -> dict[str, Any]:
    """A function that is sent what comes to a log group."""
    name = logical_name(function)
    source = {"Fn::Sub": f"arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:{group}:*"}
    return {
        f"{name}Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": arn,
                "Principal": "logs.amazonaws.com",
                "SourceArn": source,
            },
        },
        f"{name}Subscription": {
            "Type": "AWS::Logs::SubscriptionFilter",
            "DependsOn": f"{name}Permission",
            "Properties": {
                "FilterName": filter_name(function),
                "LogGroupName": group,
                "FilterPattern": "",
                "DestinationArn": arn,
            },
        },
    }


def _alb_logs(stage: str, function: Arn) -> dict[str, Any]:
    """A bucket for the access logs of ALBs, which tells the function of each file; or one of the user's own is used.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
    """
    name = f"autostop-{stage}-alb-logs-${{AWS::AccountId}}-${{AWS::Region}}"
    arn = f"arn:${{AWS::Partition}}:s3:::{name}"
    only_logs = {"S3Key": {"Rules": [{"Name": "suffix", "Value": ".log.gz"}]}}
    told = {"Event": "s3:ObjectCreated:*", "Filter": only_logs, "Function": function}
    # Elastic Load Balancing can write to no bucket that is encrypted with a KMS key.
    encrypted = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
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
                "BucketName": {"Fn::Sub": name},
                "BucketEncryption": {"ServerSideEncryptionConfiguration": [encrypted]},
                "LifecycleConfiguration": {"Rules": [{"Status": "Enabled", "ExpirationInDays": 7}]},
                "NotificationConfiguration": {"LambdaConfigurations": [told]},
                "PublicAccessBlockConfiguration": dict.fromkeys(CLOSED, True),
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


if __name__ == "__main__":
    sys.stdout.write(json.dumps(merged(sys.argv[1]), indent=2) + "\n")
