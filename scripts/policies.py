"""One least-privilege policy for each function, from one table. `python -m scripts.policies` writes them to .chalice/.

Account, region and stage stay `*`: Chalice substitutes nothing in a policy file. A test runs every function and holds
its calls against these (tests/unit/entrypoints/test_policies.py).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from scripts.alb_policy import bounding, looking, making
from scripts.provision_policy import provisioning

CHALICE = Path(__file__).parent.parent / ".chalice"

# The DynamoDB actions of each function, by table. A transaction is allowed by the actions of its parts;
# a batch write by its own.
TABLES: dict[str, dict[str, list[str]]] = {
    "api_handler": {
        "rules": ["BatchGetItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Scan", "UpdateItem"],
        "schedules": ["BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Scan", "UpdateItem"],
        "claims": ["BatchGetItem", "DeleteItem", "GetItem", "PutItem", "UpdateItem"],
        "load-balancers": ["DeleteItem", "GetItem", "PutItem", "Scan", "UpdateItem"],
        "proxies": ["ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"],
        "activity": ["PutItem", "Query", "UpdateItem"],
        "events": ["BatchWriteItem", "Query"],
        "api-keys": ["DeleteItem", "GetItem", "PutItem", "Scan"],
        "usage": ["PutItem", "Query"],
        # A rule that gets tags is discovered at once, unless AWS wants to be left alone there.
        "back-offs": ["GetItem"],
        "account": ["GetItem", "UpdateItem"],
    },
    "tick": {},
    "reconcile": {
        "rules": ["BatchGetItem", "GetItem", "UpdateItem"],
        "schedules": ["BatchGetItem"],
        "load-balancers": ["GetItem"],
        "proxies": ["DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"],
        # What the metrics of an ALB say of the newest use is kept, so that it is not read again.
        # And which interfaces the flow logs are watched for.
        "activity": ["PutItem", "Query", "UpdateItem"],
        "events": ["BatchWriteItem"],
        "back-offs": ["GetItem", "PutItem"],
        "usage": ["PutItem", "Query"],
        "account": ["GetItem", "UpdateItem"],
    },
    "discover": {
        "rules": ["BatchGetItem", "GetItem", "UpdateItem"],
        "claims": ["BatchGetItem", "DeleteItem", "PutItem"],
        "proxies": ["GetItem", "PutItem", "UpdateItem"],
        "events": ["BatchWriteItem"],
        "back-offs": ["GetItem", "PutItem"],
    },
    "tag_change": {
        "rules": ["BatchGetItem", "GetItem", "UpdateItem"],
        "claims": ["BatchGetItem", "DeleteItem", "PutItem"],
        "proxies": ["GetItem", "PutItem", "UpdateItem"],
        "events": ["BatchWriteItem"],
        "back-offs": ["GetItem", "PutItem"],
    },
    "ec2_state": {"rules": ["UpdateItem"], "claims": ["BatchGetItem"]},
    "rds_state": {"rules": ["UpdateItem"], "claims": ["BatchGetItem"]},
    "ec2_calls": {"claims": ["BatchGetItem"], "events": ["BatchWriteItem"]},
    "proxy_logs": {
        "load-balancers": ["GetItem"],
        "proxies": ["GetItem", "PutItem", "UpdateItem"],
        "activity": ["GetItem", "UpdateItem"],
        "events": ["BatchWriteItem"],
    },
    "alb_logs": {"rules": ["GetItem"], "load-balancers": ["GetItem"], "activity": ["UpdateItem"]},
    "flow_logs": {"activity": ["GetItem", "PutItem", "Query", "UpdateItem"]},
    "provision": {
        "load-balancers": ["DeleteItem", "GetItem", "UpdateItem"],
        "proxies": ["Query", "UpdateItem"],
        "api-keys": ["DeleteItem", "GetItem", "PutItem"],
        "events": ["BatchWriteItem"],
    },
    "provision_sweep": {"load-balancers": ["Scan"], "proxies": ["Query"]},
    "savings_rollup": {"load-balancers": ["GetItem"], "proxies": ["Query"], "usage": ["PutItem", "Query"]},
    "warm_up": {
        "rules": ["BatchGetItem", "GetItem", "UpdateItem"],
        "load-balancers": ["GetItem"],
        "proxies": ["DeleteItem", "PutItem", "Query"],
        "events": ["BatchWriteItem", "Query"],
    },
}

# Queries of indexes, by table.
INDEXES: dict[str, dict[str, str]] = {
    "api_handler": {"events": "by-day", "usage": "by-day"},
    "tick": {"rules": "due"},
    "discover": {"rules": "tagged"},
    "tag_change": {"rules": "tagged"},
    "savings_rollup": {"usage": "by-day"},
}

LOOKS_FOR_TAGS = ("discover", "tag_change")
_SENDERS = {"api_handler", "tick", "reconcile", "ec2_state", "provision", "rds_state", "warm_up"}
SENDS = frozenset({*_SENDERS, *LOOKS_FOR_TAGS})
RECEIVES = frozenset({"reconcile"})
ORDERS = frozenset({"api_handler", "provision", "provision_sweep", *LOOKS_FOR_TAGS})
PROVISIONS = frozenset({"provision"})
WATCHES = frozenset({"api_handler"})
"""Asks how much waits, for `GET /health/deep`."""
TRACED = frozenset(TABLES)
INVOKED_BY_EVENTS = frozenset(TABLES) - {"api_handler", "provision", "reconcile", "warm_up"}
"""Of EventBridge, logs and S3, nobody waits for an answer; what they fail at goes to the dead-letter queue."""
NAMES_SECRETS = frozenset({"api_handler"})
LOOKS_AT_ALBS = frozenset({"api_handler"})
PRICED = frozenset({"api_handler", "savings_rollup"})

RECEIVE = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
_FIND = ["ec2:DescribeInstanceTypes", "ec2:DescribeInstances", "ec2:DescribeSpotInstanceRequests"]
_LOOK = ["ec2:DescribeInstanceStatus", *_FIND]
# All databases of a region are asked for at once; these know no narrower resource then.
_DATABASES = [
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:DescribePendingMaintenanceActions",
    # Without it the describes may leave the tags out.
    "rds:ListTagsForResource",
]
_GUARDS = ["cloudwatch:GetMetricData", "ssm:DescribeSessions"]
# Whose flow logs tell of what runs.
_INTERFACES = ["ec2:DescribeNetworkInterfaces"]
# Elastic Load Balancing's describes know no resources.
_TRAFFIC = [
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetHealth",
]
# What a load balancer names is looked at before it is stored; EC2's describes of these know no resources either.
_NETWORK = [
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
]
DESCRIBES: dict[str, list[str]] = {
    # Explain decides as the worker does, so it reads what the worker reads.
    "api_handler": ["ec2:DescribeInstanceAttribute", *_LOOK, *_DATABASES, *_GUARDS, *_TRAFFIC, *_INTERFACES, *_NETWORK],
    "reconcile": [*_LOOK, *_DATABASES, *_GUARDS, *_TRAFFIC, *_INTERFACES],
    "discover": ["ec2:DescribeInstanceAttribute", *_FIND, *_DATABASES],
    "tag_change": ["ec2:DescribeInstanceAttribute", *_FIND, *_DATABASES],
}
ACTS: dict[str, list[str]] = {
    # What a deleted rule would leave stopped is started again (DELETE …?leave=start).
    "api_handler": ["ec2:StartInstances"],
    "reconcile": ["ec2:StartInstances", "ec2:StopInstances"],
}
# Whose weights are put: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
TURNS = frozenset({"reconcile"})
OURS = {"Null": {"aws:ResourceTag/autostop:load-balancer": "false", "aws:ResourceTag/autostop:rule": "false"}}
# The same of databases, by what they are part of an ARN as.
DATABASE_ACTS: dict[str, dict[str, list[str]]] = {
    "api_handler": {"db": ["rds:StartDBInstance"], "cluster": ["rds:StartDBCluster"]},
    "reconcile": {
        "db": ["rds:StartDBInstance", "rds:StopDBInstance"],
        "cluster": ["rds:StartDBCluster", "rds:StopDBCluster"],
    },
}
READS_LOGS = frozenset({"alb_logs"})
ALB_LOGS = "arn:*:s3:::*AWSLogs/*/elasticloadbalancing/*"
"""Access logs of load balancers in any bucket, and nothing else that is there: people keep them where they like."""

# Other accounts, by the connectors of rules. Their own role decides what may be done there, and its trust policy who
# may take it on; here only its name is known.
CONNECTS = frozenset({"api_handler", "reconcile", *LOOKS_FOR_TAGS})
CONNECTOR_ROLES = "arn:*:iam::*:role/autostop-*"
QUEUE = "arn:*:sqs:*:*:autostop-*-reconcile"
PROVISION_QUEUE = "arn:*:sqs:*:*:autostop-*-provision"
DEAD_LETTERS = "arn:*:sqs:*:*:autostop-*-dead-letters"


def policy(function: str) -> dict[str, Any]:
    """The policy document of one function."""
    # The log group is named after the function as Chalice, or CloudFormation, names it: APP-STAGE-NAME….
    group = "arn:*:logs:*:*:log-group:/aws/lambda/autostop-*"
    statements = [_allow("Logs", ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], [group])]
    if function in TRACED:
        # X-Ray knows no resources.
        statements.append(_allow("Trace", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"]))
    for table, actions in TABLES[function].items():
        statements.append(_allow(_sid(table), [f"dynamodb:{action}" for action in actions], [_table(table)]))
    for table, index in INDEXES.get(function, {}).items():
        statements.append(_allow(_sid(table, index), ["dynamodb:Query"], [f"{_table(table)}/index/{index}"]))
    statements += _queues(function)
    statements += _reads(function)
    if function in DESCRIBES:
        # EC2's and ELB's describes, and reads of metrics and of sessions, know no resources.
        statements.append(_allow("Look", DESCRIBES[function], ["*"]))
    if function in LOOKS_AT_ALBS:
        statements += looking()
    if function in ACTS:
        # Any instance: which ones are AutoStop's business is what rules say later, and tagging them first would be a
        # second list to keep. Narrow it here by a Condition on aws:ResourceTag where an account has such tags.
        statements.append(_allow("Act", ACTS[function], ["arn:*:ec2:*:*:instance/*"]))
    if function in TURNS:
        # Of an ALB that is not ours nothing but the listener rules that carry our tags.
        turn = _allow(
            "Turn", ["elasticloadbalancing:ModifyRule"], ["arn:*:elasticloadbalancing:*:*:listener-rule/app/*"]
        )
        statements.append(turn | {"Condition": OURS})
    for part, actions in DATABASE_ACTS.get(function, {}).items():
        statements.append(_allow(_sid("act", part), actions, [f"arn:*:rds:*:*:{part}:*"]))
    if function in CONNECTS:
        statements.append(_allow("Connect", ["sts:AssumeRole"], [CONNECTOR_ROLES]))
    return {"Version": "2012-10-17", "Statement": statements}


def boundary(function: str) -> dict[str, Any]:
    """What its policy may never be widened beyond: the same, in fewer characters."""
    own, shorter = policy(function), {statement["Sid"]: statement for statement in bounding()}
    statements = [shorter.get(statement["Sid"], statement) for statement in own["Statement"]]
    plain = [{key: value for key, value in statement.items() if key != "Sid"} for statement in statements]
    return own | {"Statement": plain}


def _queues(function: str) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = []
    if function in SENDS:
        # AWS asks for sqs:SendMessage alone, of batches too; the embedded cloud for the other.
        statements.append(_allow("Send", ["sqs:SendMessage", "sqs:SendMessageBatch"], [QUEUE]))
    if function in INVOKED_BY_EVENTS:
        statements.append(_allow("Failures", ["sqs:SendMessage"], [DEAD_LETTERS]))
    if function in RECEIVES:
        # Creating the event source mapping checks these too, under this role.
        statements.append(_allow("Receive", RECEIVE, [QUEUE]))
    if function in WATCHES:
        statements.append(_allow("Watch", ["sqs:GetQueueAttributes"], [QUEUE, DEAD_LETTERS]))
    if function in ORDERS:
        statements.append(_allow("Order", ["sqs:SendMessage"], [PROVISION_QUEUE]))
    if function in PROVISIONS:
        statements.append(_allow("Receive", RECEIVE, [PROVISION_QUEUE]))
        statements += [*provisioning(), *making()]
    return statements


def _reads(function: str) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = []
    if function in NAMES_SECRETS:
        # Whether a secret exists, by an ARN that a person gives; never GetSecretValue: secrets do not pass through us.
        statements.append(_allow("Secrets", ["secretsmanager:DescribeSecret"], ["arn:*:secretsmanager:*:*:secret:*"]))
    if function in PRICED:
        # The price list knows no resources.
        statements.append(_allow("Prices", ["pricing:GetProducts"], ["*"]))
    if function in READS_LOGS:
        statements.append(_allow("ReadLogs", ["s3:GetObject"], [ALB_LOGS]))
    return statements


def _table(name: str) -> str:
    return f"arn:*:dynamodb:*:*:table/autostop-*-{name}"


def _sid(*names: str) -> str:
    return "".join(part.title() for name in names for part in name.split("-"))


def _allow(sid: str, actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def text(function: str) -> str:
    """The policy as it is checked in."""
    return json.dumps(policy(function), indent=2) + "\n"


def main() -> None:
    """Write them all; with `--check` end with 1 if one is not as it should be."""
    stale = [one for one in TABLES if not _file(one).exists() or _file(one).read_text() != text(one)]
    if sys.argv[1:] == ["--check"]:
        if stale:
            sys.exit(f"Not as the table says, write them with python -m scripts.policies: {', '.join(stale)}")
        return
    for function in stale:
        _file(function).write_text(text(function))


def _file(function: str) -> Path:
    return CHALICE / f"policy-{function}.json"


if __name__ == "__main__":
    main()
