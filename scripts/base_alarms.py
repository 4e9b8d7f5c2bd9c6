"""What wakes an operator: alarms on a topic, and a dashboard (docs/reference/operability.md)."""

from __future__ import annotations

import json
from typing import Any

NAMESPACE = "AutoStop"
LATE_SECONDS = 600
"""Of the oldest message in the worker's queue: ten ticks."""
SILENT_SECONDS = 600
"""Of a proxy's newest word: it speaks each minute, and is looked at every 15."""


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
            "Messages or events could not be taken in. autostop doctor names the queue; its log groups say why.",
            _metric(
                "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", QueueName=f"autostop-{stage}-dead-letters"
            ),
        ),
        "QueueAgeAlarm": _alarm(
            stage,
            "queue-age",
            "Rules wait for the worker: is reconcile throttled, or failing?",
            _metric("AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", QueueName=f"autostop-{stage}-reconcile"),
            above=LATE_SECONDS,
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
        "WorkerErrorsAlarm": _alarm(
            stage,
            "worker-errors",
            "reconcile fails again and again: rules are not looked after.",
            _metric("AWS/Lambda", "Errors", "Sum", FunctionName=f"autostop-{stage}-reconcile"),
            above=2,
            periods=5,
        ),
        "ApiErrorsAlarm": _alarm(
            stage,
            "api-errors",
            "The API fails: proxies keep what they have, and people cannot change anything.",
            _metric("AWS/Lambda", "Errors", "Sum", FunctionName=f"autostop-{stage}"),
            above=2,
            periods=5,
        ),
        "BlindAlarm": _alarm(
            stage,
            "blind-rules",
            "Rules cannot be seen and stay up, which costs money: autostop doctor names them.",
            _metric(NAMESPACE, "BlindRules", "Sum", Stage=stage),
            periods=15,
        ),
        "FailuresAlarm": _alarm(
            stage,
            "failures",
            "AWS refused a start or a stop, or a start did not succeed: autostop events says which and why.",
            _metric(NAMESPACE, "Failures", "Sum", Stage=stage),
        ),
        "ConfigAgeAlarm": _alarm(
            stage,
            "proxy-silent",
            "A proxy has not been heard of for ten minutes. It serves what it knows; its rules are blind.",
            _metric(NAMESPACE, "ConfigAge", "Maximum", Stage=stage) | {"Period": 900},
            above=SILENT_SECONDS,
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
        ("Blind rules; seconds since a proxy was heard of", [own("BlindRules", "Sum"), own("ConfigAge", "Maximum")]),
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
