"""What wakes an operator: alarms on a topic, and a dashboard (docs/reference/operability.md)."""

from __future__ import annotations

import json
from typing import Any

NAMESPACE = "AutoStop"


def resources(stage: str) -> dict[str, Any]:
    """The topic, the alarms and the dashboard of a stage."""
    return {
        "Alarms": {
            "Type": "AWS::SNS::Topic",
            "Properties": {"TopicName": f"autostop-{stage}-alarms", "DisplayName": f"AutoStop {stage}"},
        },
        "DeadLettersAlarm": _alarm(
            stage,
            "dead-letters",
            "Messages or events could not be taken in three times: a function fails or is throttled. Its log says why.",
            _metric(
                "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", QueueName=f"autostop-{stage}-dead-letters"
            ),
        ),
        "TickAlarm": _alarm(
            stage,
            "tick",
            "The tick has not run for five minutes: nothing is stopped, and starts are not followed up.",
            _metric("AWS/Lambda", "Invocations", "Sum", FunctionName=f"autostop-{stage}-tick"),
            below=1,
            periods=5,
            missing="breaching",
        ),
        "BlindAlarm": _alarm(
            stage,
            "blind",
            "Rules, or proxies, cannot be seen: rules stay up, which costs money. autostop doctor names them.",
            # What is blind is looked at every few minutes: in each of two quarters of an hour at least once.
            _metric(NAMESPACE, "Blind", "Sum", Stage=stage) | {"Period": 900},
            periods=2,
        ),
        "FailuresAlarm": _alarm(
            stage,
            "failures",
            "A start or a stop failed, or the API did: autostop events says which and why, or the log of the API.",
            _metric(NAMESPACE, "Failures", "Sum", Stage=stage),
        ),
        "Dashboard": {
            "Type": "AWS::CloudWatch::Dashboard",
            "Properties": {
                "DashboardName": f"autostop-{stage}",
                "DashboardBody": {"Fn::Sub": json.dumps(_dashboard(stage), separators=(",", ":"))},
            },
        },
    }


def _metric(namespace: str, name: str, statistic: str, **dimensions: str) -> dict[str, Any]:
    return {
        "Namespace": namespace,
        "MetricName": name,
        "Statistic": statistic,
        "Period": 60,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
    }


def _alarm(
    stage: str,
    name: str,
    words: str,
    metric: dict[str, Any],
    *,
    above: int = 0,
    below: int | None = None,
    periods: int = 1,
    missing: str = "notBreaching",
) -> dict[str, Any]:
    """`periods` of the metric in a row. A metric that is told only when there is something may be missing."""
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": f"autostop-{stage}-{name}",
            "AlarmDescription": words,
            **metric,
            "ComparisonOperator": "GreaterThanThreshold" if below is None else "LessThanThreshold",
            "Threshold": above if below is None else below,
            "EvaluationPeriods": periods,
            "TreatMissingData": missing,
            "AlarmActions": [{"Ref": "Alarms"}],
            "OKActions": [{"Ref": "Alarms"}],
        },
    }


def _dashboard(stage: str) -> dict[str, Any]:
    """Six graphs. What AWS counts by itself costs nothing to show; our own metrics are paid for anyway."""
    ours = [NAMESPACE, "", "Stage", stage]
    functions = ["tick", "reconcile", "proxy_logs", "flow_logs", "warm_up"]
    names = [f"autostop-{stage}", *(f"autostop-{stage}-{function}" for function in functions)]
    queues = ["reconcile", "provision", "dead-letters"]

    def own(name: str, stat: str) -> list[Any]:
        return [*[name if part == "" else part for part in ours], {"stat": stat}]

    graphs = [
        ("Decisions, starts, stops, failures", [own(n, "Sum") for n in ("Decisions", "Starts", "Stops", "Failures")]),
        ("Seconds until up", [own("TimeToUp", "p50"), own("TimeToUp", "p90"), own("TimeToUp", "Maximum")]),
        ("Blind rules; seconds since a proxy was heard of", [own("Blind", "Sum"), own("ConfigAge", "Maximum")]),
        ("Errors of functions", [["AWS/Lambda", "Errors", "FunctionName", name, {"stat": "Sum"}] for name in names]),
        (
            "Oldest message, in seconds",
            [
                ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", f"autostop-{stage}-{q}", {"stat": "Maximum"}]
                for q in queues
            ],
        ),
        (
            "Duration of functions, p90",
            [["AWS/Lambda", "Duration", "FunctionName", name, {"stat": "p90"}] for name in names],
        ),
    ]
    return {
        "widgets": [
            {
                "type": "metric",
                "x": 12 * (n % 2),
                "y": 6 * (n // 2),
                "width": 12,
                "height": 6,
                "properties": {"title": title, "metrics": metrics, "period": 300, "region": "${AWS::Region}"},
            }
            for n, (title, metrics) in enumerate(graphs)
        ]
    }
