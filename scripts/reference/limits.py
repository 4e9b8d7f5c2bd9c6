"""Every limit with its number, taken from where it is enforced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.adapters.aws import sqs
from chalicelib.domain import (
    alb_packing,
    alb_traffic,
    aws_restart,
    claims,
    flow_logs,
    holding,
    load_balancers,
    membership,
    recording,
    schedules,
    throttling,
)
from chalicelib.usecases import dependencies, reconcile
from chalicelib.usecases.answer_traffic import MOST_KEPT
from scripts.reference.tables import table

if TYPE_CHECKING:
    from datetime import timedelta


def page() -> str:
    """The limits of AutoStop, and those of AWS that show through."""
    ours = [
        [
            "rules behind one proxy",
            f"{load_balancers.MAX_RULES_PER_PROXY:,}",
            "the configuration has to fit into one answer",
        ],
        [
            "hosts, ports and resources of one rule",
            f"{claims.MAX_CLAIMS}",
            "they are claimed in one transaction of DynamoDB (100 actions)",
        ],
        ["resources that tags bring into a rule", f"{membership.MAX_MEMBERS:,}", "more are left out, with an event"],
        ["rules that a rule may need, in all", f"{dependencies.MOST}", "a start waits for each of them"],
        ["rules in one message", f"{sqs.MOST_RULES:,}", "their metrics are one call of CloudWatch (500 series)"],
        [
            "time for one message",
            f"{_seconds(reconcile.ENOUGH)} s",
            "the rest goes to another message, before the function ends",
        ],
        ["windows of a schedule", f"{schedules.MAX_WEEKLY} a week, {schedules.MAX_EXCEPT_DATES} exceptions", ""],
        ["longest window of a recurrence", f"{schedules.LONGEST_DURATION.days} days", ""],
        [
            "a client held by an ALB",
            f"{_seconds(holding.LONGEST_HOLD)} s",
            "each takes one execution of Lambda; then 307 to the same URL",
        ],
        ["rules of an ALB that a warm start keeps in memory", f"{MOST_KEPT:,}", ""],
        ["days of usage looked back on", f"{recording.MOST_DAYS}", "later corrections are not made"],
        [
            "pause when AWS asks to slow down",
            f"{_minutes(throttling.LONGEST)} min",
            "it grows up to that, a region and kind",
        ],
    ]
    evidence = [
        ["a proxy's heartbeat", "1 min", "a rule is idle once every member has proved the idle time"],
        [
            "requests of an ALB",
            f"late by {_minutes(alb_traffic.NEWEST)} min and more; blind after {_minutes(alb_traffic.MAX_SILENCE)} min",
            "CloudWatch",
        ],
        [
            "flow logs",
            f"late by 10 min; windows up to {flow_logs.LONGEST_WINDOW // 60} min are read",
            "idle times of less than 12 min (20 with long windows) are refused",
        ],
        ["metrics of EC2", "a point each 5 min", "idle times below 15 min are refused"],
        ["connections of RDS", "a sample each minute", "as a source: idle times below 30 min are refused"],
    ]
    aws = [
        [
            "condition values of a listener rule",
            f"{alb_packing.MOST_VALUES}",
            "hosts and paths are packed into several rules",
        ],
        [
            "rules and target groups of an ALB",
            "100 each unless raised",
            "a rule that would not fit is refused, with the number",
        ],
        ["a stopped database", f"{aws_restart.LONGEST_STOP.days} days", "AWS starts it then; AutoStop stops it again"],
        [
            "bodies and WebSockets on an ALB before a rule is up",
            "1 MB; never",
            "the ALB refuses them before the function sees them",
        ],
        ["an answer of the API", "6 MB, 29 s", "Lambda and API Gateway"],
    ]
    head = ("what", "limit", "why, or what happens")
    return f"""# Limits

{table(head, ours)}
## How soon idleness can be known

{table(("evidence", "", ""), evidence)}
## Of AWS, that show through

{table(head, aws)}
Not done: other clouds, Kubernetes, Auto Scaling groups and ECS services, ALBs in another account or region than the stage's."""


def _seconds(time: timedelta) -> str:
    return f"{time.total_seconds():g}"


def _minutes(time: timedelta) -> str:
    return f"{time.total_seconds() / 60:g}"
