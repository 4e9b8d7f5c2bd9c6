"""Clients of Elastic Load Balancing, and the tags that say whose an ALB's parts are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.adapters.aws.proxy_names import STAGE_TAG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chalicelib.domain.load_balancers import LoadBalancer

ALB_TAG = "autostop:load-balancer"
RULE_TAG = "autostop:rule"

AT_ONCE = 20
"""ARNs a call. https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html"""

Elb: TypeAlias = Any
"""A client of it: boto3-stubs for ELBv2 are not among what we install."""


def elb(region: str) -> Elb:
    """The client."""
    return client("elbv2", region)


def tags(stage: str, balancer: LoadBalancer, rule_id: str | None = None) -> list[dict[str, str]]:
    """On everything that is made for it."""
    found = {ALB_TAG: balancer.id, STAGE_TAG: stage}
    if rule_id is not None:
        found[RULE_TAG] = rule_id
    return [{"Key": key, "Value": value} for key, value in found.items()]


def tags_of(region: str, arns: Sequence[str]) -> dict[str, Mapping[str, str]]:
    """Of each of these. Raises CloudError, ThrottledError."""
    found: dict[str, Mapping[str, str]] = {}
    for at in range(0, len(arns), AT_ONCE):
        with translated():
            answer = elb(region).describe_tags(ResourceArns=list(arns[at : at + AT_ONCE]))
        for one in answer["TagDescriptions"]:
            found[one["ResourceArn"]] = {tag["Key"]: tag.get("Value", "") for tag in one.get("Tags", ())}
    return found


def owner(stage: str, found: Mapping[str, str]) -> str | None:
    """The load balancer of this stage that tags name."""
    return found.get(ALB_TAG) if found.get(STAGE_TAG) == stage else None
