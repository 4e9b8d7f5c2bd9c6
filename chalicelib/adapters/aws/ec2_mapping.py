"""What EC2 says of an instance, in our words. Pure: no call is made here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.domain.products import Ec2Product
from chalicelib.domain.resources import ObservedResource, Protection, ResourceRef, ResourceState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_ec2.type_defs import InstanceTypeDef

    from chalicelib.domain.resources import Place

PROXY_TAG = "autostop:proxy"
GROUP_TAG = "aws:autoscaling:groupName"

_STATES = {
    "pending": ResourceState.PENDING,
    "running": ResourceState.RUNNING,
    "stopping": ResourceState.STOPPING,
    "stopped": ResourceState.STOPPED,
    "shutting-down": ResourceState.GONE,
    "terminated": ResourceState.GONE,
}


def state_of(instance: InstanceTypeDef) -> ResourceState:
    """Its state; of one that AWS might add some day we know only that neither start nor stop is due."""
    return _STATES.get(instance["State"]["Name"], ResourceState.PENDING)


def observed(place: Place, instance: InstanceTypeDef) -> ObservedResource:
    """An instance with the protections that its own description shows."""
    tags = tags_of(instance)
    reason = instance.get("StateReason", {})
    words = ": ".join(part for part in (reason.get("Code"), reason.get("Message")) if part)
    return ObservedResource(
        ResourceRef(place.kind, place.region, instance["InstanceId"], place.connector),
        state_of(instance),
        instance.get("PrivateIpAddress"),
        tags.get("Name"),
        words or instance.get("StateTransitionReason") or None,
        tuple(_protections(instance, tags)),
        launched_at=instance.get("LaunchTime"),
        can_hibernate=bool(instance.get("HibernationOptions", {}).get("Configured")),
        product=_product(place.region, instance),
    )


def _product(region: str, instance: InstanceTypeDef) -> Ec2Product | None:
    if "InstanceType" not in instance:
        return None
    return Ec2Product(
        region,
        instance["InstanceType"],
        # What AWS leaves out it means: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html
        instance.get("PlatformDetails") or "Linux/UNIX",
        instance.get("Placement", {}).get("Tenancy") or "default",
        is_spot(instance),
    )


def tags_of(instance: InstanceTypeDef) -> dict[str, str]:
    """All its tags."""
    return {tag.get("Key", ""): tag.get("Value", "") for tag in instance.get("Tags", [])}


def is_spot(instance: InstanceTypeDef) -> bool:
    """Whether it came from a Spot request, one-time or persistent."""
    return instance.get("InstanceLifecycle") == "spot"


def _protections(instance: InstanceTypeDef, tags: Mapping[str, str]) -> Iterator[Protection]:
    if GROUP_TAG in tags:
        yield Protection.AUTO_SCALING
    if PROXY_TAG in tags:
        yield Protection.PROXY
    if instance.get("RootDeviceType") == "instance-store":
        yield Protection.INSTANCE_STORE_ROOT
