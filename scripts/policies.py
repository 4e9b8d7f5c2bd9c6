"""One least-privilege policy for each function, from one table. `python -m scripts.policies` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CHALICE = Path(__file__).parent.parent / ".chalice"

_READ = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"]
_WRITE = ["dynamodb:PutItem", "dynamodb:UpdateItem"]
_DELETE = ["dynamodb:DeleteItem"]
_ALL = [*_READ, *_WRITE, *_DELETE, "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:Scan"]

TABLES: dict[str, dict[str, list[str]]] = {
    "api_handler": dict.fromkeys(
        ("rules", "claims", "load-balancers", "proxies", "activity", "events", "api-keys"), _ALL
    ),
    "tick": {"rules": ["dynamodb:Query"]},
    "reconcile": {
        "rules": [*_READ, "dynamodb:UpdateItem"],
        "proxies": [*_READ, *_WRITE, *_DELETE],
        "activity": _READ,
        "events": ["dynamodb:BatchWriteItem", "dynamodb:PutItem"],
    },
    "ec2_state": {"rules": ["dynamodb:UpdateItem"], "claims": ["dynamodb:BatchGetItem"]},
    "proxy_logs": {
        "proxies": [*_READ, *_WRITE],
        "activity": [*_READ, *_WRITE],
        "events": ["dynamodb:BatchWriteItem", "dynamodb:PutItem"],
    },
}
SENDS = frozenset({"api_handler", "tick", "reconcile", "ec2_state"})
RECEIVES = frozenset({"reconcile"})
EC2: dict[str, list[str]] = {
    # Start: what a deleted rule would leave stopped (docs/adr/0005).
    "api_handler": [
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceStatus",
        "ec2:DescribeInstanceAttribute",
        "ec2:StartInstances",
    ],
    "reconcile": ["ec2:DescribeInstances", "ec2:DescribeInstanceStatus", "ec2:StartInstances", "ec2:StopInstances"],
}
QUEUE = "arn:*:sqs:*:*:autostop-*-reconcile"


def policy(function: str) -> dict[str, Any]:
    """The policy document of one function."""
    statements = [
        _allow(
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            ["arn:*:logs:*:*:log-group:/aws/lambda/autostop-*"],
        ),
        _allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], ["*"]),
    ]
    for table, actions in TABLES[function].items():
        arn = f"arn:*:dynamodb:*:*:table/autostop-*-{table}"
        statements.append(_allow(sorted(set(actions)), [arn, f"{arn}/index/*"]))
    if function in SENDS:
        # In AWS, SendMessage covers batches; the embedded cloud asks for the batch's own name too.
        statements.append(_allow(["sqs:SendMessage", "sqs:SendMessageBatch"], [QUEUE]))
    if function in RECEIVES:
        receive = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
        statements.append(_allow(receive, [QUEUE]))
    if function in EC2:
        # EC2's describes know no resource; which instances may be started is not known before rules are made.
        statements.append(_allow(EC2[function], ["*"]))
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def text(function: str) -> str:
    """The policy as it is checked in."""
    return json.dumps(policy(function), indent=2) + "\n"


def main() -> None:
    """Write them all."""
    for function in TABLES:
        (CHALICE / f"policy-{function}.json").write_text(text(function))


if __name__ == "__main__":
    main()
