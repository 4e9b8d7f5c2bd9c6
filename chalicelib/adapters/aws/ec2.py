"""EC2 instances as resources."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.resources import ObservedResource, Outcome, Protection, ResourceKind, ResourceRef, ResourceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

BATCH = 200
"""Values a filter takes. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html"""

PROXY_TAG = "autostop:proxy"

_STATES = {
    "pending": ResourceState.PENDING,
    "running": ResourceState.RUNNING,
    "stopping": ResourceState.STOPPING,
    "stopped": ResourceState.STOPPED,
    "shutting-down": ResourceState.GONE,
    "terminated": ResourceState.GONE,
}


class Ec2Compute:
    """Implements Compute for EC2 instances."""

    def describe(
        self, refs: Sequence[ResourceRef], *, status_checks: bool = False
    ) -> dict[ResourceRef, ObservedResource]:
        found = {ref: ObservedResource(ref, ResourceState.GONE) for ref in refs}
        for region, batch in _batches(refs):
            # A filter passes over an unknown id, where InstanceIds fails the whole call for one.
            ids = [ref.id for ref in batch]
            with translated():
                pages = _ec2(region).get_paginator("describe_instances")
                for page in pages.paginate(Filters=[{"Name": "instance-id", "Values": ids}]):
                    for reservation in page["Reservations"]:
                        for instance in reservation["Instances"]:
                            observed = _observed(region, instance)
                            found[observed.ref] = observed
            if status_checks:
                found |= self._with_checks(region, [found[ref] for ref in batch])
        return found

    def protections(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, ObservedResource]:
        found = self.describe(refs)
        for ref, seen in found.items():
            if seen.state is ResourceState.GONE:
                continue
            with translated():
                answer = _ec2(ref.region).describe_instance_attribute(InstanceId=ref.id, Attribute="disableApiStop")
            if answer.get("DisableApiStop", {}).get("Value"):
                found[ref] = replace(seen, protections=(*seen.protections, Protection.STOP_PROTECTION))
        return found

    def start(self, refs: Sequence[ResourceRef]) -> Sequence[Outcome]:
        def call(region: str, ids: list[str]) -> None:
            _ec2(region).start_instances(InstanceIds=ids)

        return [outcome for region, batch in _batches(refs) for outcome in _ask(call, region, batch)]

    def stop(self, refs: Sequence[ResourceRef]) -> Sequence[Outcome]:
        def call(region: str, ids: list[str]) -> None:
            _ec2(region).stop_instances(InstanceIds=ids)

        return [outcome for region, batch in _batches(refs) for outcome in _ask(call, region, batch)]

    def _with_checks(self, region: str, seen: list[ObservedResource]) -> dict[ResourceRef, ObservedResource]:
        running = [resource for resource in seen if resource.state is ResourceState.RUNNING]
        if not running:
            return {}
        with translated():
            answer = _ec2(region).describe_instance_status(
                Filters=[{"Name": "instance-state-name", "Values": ["running"]}],
                InstanceIds=[resource.ref.id for resource in running],
            )
        passed = {
            status["InstanceId"]
            for status in answer["InstanceStatuses"]
            if status["InstanceStatus"]["Status"] == status["SystemStatus"]["Status"] == "ok"
        }
        return {resource.ref: replace(resource, status_ok=resource.ref.id in passed) for resource in running}


def _ec2(region: str) -> EC2Client:
    return cast("EC2Client", client("ec2", region))


def _batches(refs: Sequence[ResourceRef]) -> Iterator[tuple[str, list[ResourceRef]]]:
    by_region: dict[str, list[ResourceRef]] = defaultdict(list)
    for ref in dict.fromkeys(refs):
        by_region[ref.region].append(ref)
    for region, found in by_region.items():
        for start in range(0, len(found), BATCH):
            yield region, found[start : start + BATCH]


def _ask(call: Callable[[str, list[str]], None], region: str, refs: list[ResourceRef]) -> list[Outcome]:
    """One call for all; when AWS refuses it, halve until the bad one stands alone: it never fails the others."""
    try:
        with translated():
            call(region, [ref.id for ref in refs])
    except ThrottledError:
        raise
    except CloudError as error:
        refusal = error
    else:
        return [Outcome(ref, accepted=True) for ref in refs]
    if len(refs) == 1:
        return [Outcome(refs[0], accepted=False, code=refusal.code, message=refusal.message)]
    middle = len(refs) // 2
    return [*_ask(call, region, refs[:middle]), *_ask(call, region, refs[middle:])]


def _observed(region: str, instance: InstanceTypeDef) -> ObservedResource:
    tags = {tag.get("Key", ""): tag.get("Value", "") for tag in instance.get("Tags", [])}
    reason = instance.get("StateReason", {})
    words = ": ".join(part for part in (reason.get("Code"), reason.get("Message")) if part)
    return ObservedResource(
        ResourceRef(ResourceKind.EC2, region, instance["InstanceId"]),
        _STATES.get(instance["State"]["Name"], ResourceState.PENDING),
        instance.get("PrivateIpAddress"),
        tags.get("Name"),
        words or instance.get("StateTransitionReason") or None,
        tuple(_protections(instance, tags)),
        launched_at=instance.get("LaunchTime"),
    )


def _protections(instance: InstanceTypeDef, tags: dict[str, str]) -> Iterator[Protection]:
    if "aws:autoscaling:groupName" in tags:
        yield Protection.AUTO_SCALING
    if PROXY_TAG in tags:
        yield Protection.PROXY
    if instance.get("InstanceLifecycle") == "spot":
        # Persistent requests can be stopped, but telling them apart costs a call of its own: refuse both.
        yield Protection.SPOT
    if instance.get("RootDeviceType") == "instance-store":
        yield Protection.INSTANCE_STORE_ROOT
