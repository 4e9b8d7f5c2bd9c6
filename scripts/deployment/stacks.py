"""CloudFormation stacks: seen, brought to a template, taken away."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from scripts.deployment.errors import StackFailedError
from scripts.deployment.steps import Difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.literals import CapabilityType

    from scripts.deployment.steps import Say

    Template = dict[str, Any]

CAPABILITIES: tuple[CapabilityType, ...] = ("CAPABILITY_NAMED_IAM",)
WELL = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"})
ONLY_TO_DELETE = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS", "CREATE_FAILED"})
"""A stack that never came to be cannot be updated.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
"""
LONGEST_SECONDS = 1800
PAUSE_SECONDS = 2.0
_UNCHANGED = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True, slots=True)
class SeenStack:
    """As it is now: `status` None where there is none."""

    status: str | None
    template: Template
    outputs: dict[str, str]


@dataclass(slots=True)
class Stack:
    """One stack, by its name. `sleep` waits between two looks at what CloudFormation is doing."""

    formation: CloudFormationClient
    name: str
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def seen(self) -> SeenStack:
        """As CloudFormation tells of it."""
        try:
            (stack,) = self.formation.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return SeenStack(None, {}, {})
            raise
        status = str(stack["StackStatus"])
        if status == "DELETE_COMPLETE":
            return SeenStack(None, {}, {})
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}
        return SeenStack(status, self._template(), outputs)

    def put(self, template: Template, say: Say) -> None:
        """Create or update it. Raises StackFailedError with the first thing that failed.

        What carries a name of its own and is there already, such as tables that outlived an earlier stage, is taken on.
        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
        """
        status = self._settled(say)
        if status in ONLY_TO_DELETE:
            say(f"{self.name}: it is {status} and can only be deleted; deleting it")
            self.delete(say)
            status = None
        name = f"autostop-{int(time.time() * 1000)}"
        self.formation.create_change_set(
            StackName=self.name,
            ChangeSetName=name,
            ChangeSetType="CREATE" if status is None else "UPDATE",
            TemplateBody=json.dumps(template, separators=(",", ":")),
            Capabilities=list(CAPABILITIES),
            ImportExistingResources=True,
        )
        changes = self._until(lambda: self.formation.describe_change_set(StackName=self.name, ChangeSetName=name))
        if changes["Status"] == "FAILED":
            self.formation.delete_change_set(StackName=self.name, ChangeSetName=name)
            reason = str(changes.get("StatusReason", ""))
            if any(words in reason for words in _UNCHANGED):
                return
            raise StackFailedError(f"CloudFormation refuses the change of {self.name}: {reason}")
        self.formation.execute_change_set(StackName=self.name, ChangeSetName=name)
        status = self._settled(say)
        if status not in WELL or "ROLLBACK" in str(status):
            raise StackFailedError(f"{self.name} is {status}. {self._why()}")

    def delete(self, say: Say) -> None:
        """Take it away, if it is there. Raises StackFailedError."""
        if self.seen().status is None:
            return
        self.formation.delete_stack(StackName=self.name)
        status = self._settled(say)
        if status is not None:
            raise StackFailedError(f"{self.name} is {status}. {self._why()}")

    def _template(self) -> Template:
        body: Any = self.formation.get_template(StackName=self.name).get("TemplateBody") or {}
        found: Template = json.loads(body) if isinstance(body, str) else dict(body)
        return found

    def _settled(self, say: Say) -> str | None:
        """Its status once CloudFormation is at rest; None when it is gone."""
        told: set[str] = set()
        deadline = self.clock() + LONGEST_SECONDS
        while True:
            status = self.seen().status
            if status is None or not status.endswith("_IN_PROGRESS") or status == "REVIEW_IN_PROGRESS":
                return status
            self._tell(told, say)
            if self.clock() > deadline:
                raise StackFailedError(f"{self.name} is still {status} after {LONGEST_SECONDS // 60} minutes.")
            self.sleep(PAUSE_SECONDS)

    def _tell(self, told: set[str], say: Say) -> None:
        events = self.formation.describe_stack_events(StackName=self.name)["StackEvents"]
        for event in reversed(events[:20]):
            if event["EventId"] not in told and str(event.get("ResourceStatus", "")).endswith("_COMPLETE"):
                say(f"  {event['LogicalResourceId']}: {event.get('ResourceStatus')}")
            told.add(event["EventId"])

    def _until(self, look: Callable[[], Any]) -> Any:  # noqa: ANN401  (what boto3 answers)
        deadline = self.clock() + LONGEST_SECONDS
        while True:
            found = look()
            if found["Status"] in {"CREATE_COMPLETE", "FAILED"}:
                return found
            if self.clock() > deadline:
                raise StackFailedError(f"CloudFormation does not finish the change set of {self.name}.")
            self.sleep(PAUSE_SECONDS)

    def _why(self) -> str:
        events = self.formation.describe_stack_events(StackName=self.name)["StackEvents"]
        failed = [e for e in reversed(events) if str(e.get("ResourceStatus", "")).endswith("_FAILED")]
        if not failed:
            return "Its events say no reason."
        first = failed[0]
        return f"{first['LogicalResourceId']}: {first.get('ResourceStatusReason', 'no reason given')}"


@dataclass(frozen=True, slots=True)
class StackStep:
    """A stack as a step of a deployment."""

    name: str
    stack: Stack
    wanted: Template
    needs: str = field(default="")
    """What has to be there before, as the plan says it."""

    def look(self) -> Difference | None:
        seen = self.stack.seen()
        if seen.status is None or seen.status in ONLY_TO_DELETE:
            return Difference("create", f"{self.stack.name}: {counted(self.wanted)}{self.needs}")
        changed = changes(seen.template, self.wanted)
        if changed:
            return Difference("update", f"{self.stack.name}: {changed}")
        if seen.status not in WELL:
            return Difference("update", f"{self.stack.name} is {seen.status}")
        return None

    def act(self, say: Say) -> None:
        self.stack.put(self.wanted, say)


def counted(template: Template) -> str:
    """What it is made of, as in `11 DynamoDB tables, 3 SQS queues`."""
    kinds: dict[str, int] = {}
    for resource in template["Resources"].values():
        _, service, kind = resource["Type"].split("::")
        kinds[f"{service} {kind}"] = kinds.get(f"{service} {kind}", 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda one: (-one[1], one[0])))


def changes(old: Template, new: Template) -> str:
    """What a template adds, changes and takes away, by logical names; empty where nothing does."""
    before, after = old.get("Resources", {}), new.get("Resources", {})
    parts = {
        "adds": sorted(after.keys() - before.keys()),
        "changes": sorted(name for name in after.keys() & before.keys() if after[name] != before[name]),
        "removes": sorted(before.keys() - after.keys()),
    }
    said = "; ".join(f"{verb} {', '.join(names)}" for verb, names in parts.items() if names)
    rest = {key: value for key, value in old.items() if key != "Resources"}
    if not said and rest != {key: value for key, value in new.items() if key != "Resources"}:
        return "changes its outputs or its description"
    return said
