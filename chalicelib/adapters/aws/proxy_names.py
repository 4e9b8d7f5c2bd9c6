"""What the parts of a proxy are called in AWS, and the tags that say whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import category

from chalicelib.adapters.aws.ec2_mapping import PROXY_TAG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_ec2.literals import ResourceTypeType
    from mypy_boto3_ec2.type_defs import FilterTypeDef, TagSpecificationTypeDef, TagTypeDef

    from chalicelib.domain.load_balancers import LoadBalancer

STAGE_TAG = "autostop:stage"


def part_name(stage: str, load_balancer_id: str) -> str:
    """Of role and instance profile: at most 64 characters, as IAM asks; an id has 29."""
    return f"autostop-{stage[:19]}-proxy-{load_balancer_id}"


def secret_name(stage: str, load_balancer_id: str) -> str:
    """Of the secret with its key."""
    return f"autostop/{stage}/proxy/{load_balancer_id}"


def tags(stage: str, balancer: LoadBalancer) -> dict[str, str]:
    """On everything that is made for it."""
    return {PROXY_TAG: balancer.id, STAGE_TAG: stage, "Name": _value(f"autostop {balancer.name}")}


def _value(text: str) -> str:
    """What IAM takes of it, the strictest of the three; it refuses the whole role for an apostrophe.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_Tag.html
    """
    return "".join(one if category(one)[0] in "LNZ" or one in "_.:/=+-@" else "_" for one in text)[:256]


def ec2_tags(stage: str, balancer: LoadBalancer) -> list[TagTypeDef]:
    """The same, as EC2 takes them."""
    return [{"Key": key, "Value": value} for key, value in tags(stage, balancer).items()]


def tagged(stage: str, balancer: LoadBalancer, *kinds: ResourceTypeType) -> Sequence[TagSpecificationTypeDef]:
    """What EC2 is to tag of what it makes."""
    return [{"ResourceType": kind, "Tags": ec2_tags(stage, balancer)} for kind in kinds]


def of(stage: str, balancer: LoadBalancer) -> list[FilterTypeDef]:
    """Only what was made for it, by this stage."""
    return [
        {"Name": f"tag:{PROXY_TAG}", "Values": [balancer.id]},
        {"Name": f"tag:{STAGE_TAG}", "Values": [stage]},
    ]
