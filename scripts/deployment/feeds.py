"""What feeds the functions: schedules and event rules that are on, log groups that are subscribed to.

Chalice and CloudFormation make them, and neither looks again as long as nothing changes on our side; somebody can
switch them off by hand all the same. Without them nothing stops, or everything is blind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.beyond_chalice import filter_name
from scripts.deployment.steps import Difference

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_logs import CloudWatchLogsClient

    from scripts.deployment.app import App
    from scripts.deployment.stage import Stage
    from scripts.deployment.steps import Say

SCHEDULED = ("tick", "discover", "provision_sweep", "savings_rollup")
EVENTS = ("ec2_state", "rds_state", "tag_change", "ec2_calls")
SUBSCRIBED = {"proxy": "proxy_logs", "flow": "flow_logs"}
"""Log groups of a stage, and which function is sent what comes to them."""


@dataclass(frozen=True, slots=True)
class Feeds:
    """As a step, and for whoever only looks."""

    stage: Stage
    events: EventBridgeClient
    logs: CloudWatchLogsClient
    app: App
    name: str = "schedules and subscriptions"

    def look(self) -> Difference | None:
        if len(self.app.missing()) == len(self.stage.functions):
            return Difference("make", "with the functions, and with the links stack")
        faults = [fault for function in (*SCHEDULED, *EVENTS) if (fault := self.rule(function))]
        faults += [fault for group in SUBSCRIBED if (fault := self.subscription(group))]
        return Difference("mend", "; ".join(faults)) if faults else None

    def act(self, say: Say) -> None:
        for function in (*SCHEDULED, *EVENTS):
            if self.rule(function) is None:
                continue
            say(f"  switching the rule of {function} on")
            try:
                self.events.enable_rule(Name=self._rule_name(function))
            except self.events.exceptions.ResourceNotFoundException:
                self.app.act(say)
        for group, function in SUBSCRIBED.items():
            if self.subscription(group) is not None:
                say(f"  subscribing {function} to {self._group(group)}")
                self.logs.put_subscription_filter(
                    logGroupName=self._group(group),
                    filterName=filter_name(function),
                    filterPattern="",
                    destinationArn=self._arn(function),
                )

    def rule(self, function: str) -> str | None:
        """What is wrong with the schedule or event rule of a function; None for nothing."""
        name = self._rule_name(function)
        try:
            state = self.events.describe_rule(Name=name).get("State")
        except self.events.exceptions.ResourceNotFoundException:
            return f"there is no rule {name}"
        return None if state == "ENABLED" else f"the rule {name} is {state}"

    def subscription(self, group: str) -> str | None:
        """What is wrong with the subscription of a log group (`proxy` or `flow`); None for nothing."""
        name, wanted = self._group(group), self._arn(SUBSCRIBED[group])
        found = self.logs.describe_subscription_filters(logGroupName=name)["subscriptionFilters"]
        if any(one["destinationArn"] == wanted for one in found):
            return None
        return f"{name} is not subscribed to by {wanted.rsplit(':', 1)[1]}"

    def _rule_name(self, function: str) -> str:
        return f"autostop-{self.stage.name}-{function}-event"

    def _group(self, group: str) -> str:
        return f"/autostop/{self.stage.name}/{group}"

    def _arn(self, function: str) -> str:
        where = f"{self.stage.region}:{self.stage.account}"
        return f"arn:{self.stage.partition}:lambda:{where}:function:{self.stage.functions[function]}"
