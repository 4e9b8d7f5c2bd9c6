"""Where ALBs send the traffic of rules: listener rules of ours, their weights, the health behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.domain.alb_traffic import RuleTraffic, Weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chalicelib.domain.alb_traffic import AlbPlace, Position

BALANCER_TAG = "autostop:load-balancer"
RULE_TAG = "autostop:rule"

TAGS_BATCH = 20
"""ARNs a call. https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html"""

Elb: TypeAlias = Any
"""A client of it: boto3-stubs for ELBv2 are not among what we install."""


class AwsAlbTraffic:
    """Implements AlbTraffic."""

    def __init__(self) -> None:
        # Whose a listener rule is never changes: ours are made with their tags, and an ARN is not used twice. So each
        # ARN is asked about once in the life of a process, and those that are gone are forgotten.
        self._owners: dict[str, dict[str, tuple[str, str] | None]] = {}

    def look(self, place: AlbPlace, rule_ids: Sequence[str]) -> Mapping[str, RuleTraffic]:
        elb: Elb = client("elbv2", place.region)
        forwards = {weights.arn: weights for arn in place.listener_arns for weights in _forwards(elb, arn)}
        known = self._owners.get(place.alb_arn, {})
        unknown = [arn for arn in forwards if arn not in known]
        owners = {arn: known[arn] for arn in forwards if arn in known} | _owners(elb, unknown)
        self._owners[place.alb_arn] = owners
        found: dict[str, list[Weights]] = {id_: [] for id_ in rule_ids}
        for arn, owner in owners.items():
            if owner is not None and owner[0] == place.load_balancer_id and owner[1] in found:
                found[owner[1]].append(forwards[arn])
        return {id_: RuleTraffic(id_, place, tuple(weights)) for id_, weights in found.items()}

    def healthy(self, traffic: RuleTraffic) -> bool | None:
        elb: Elb = client("elbv2", traffic.place.region)
        states = []
        for arn in traffic.instance_groups:
            with translated():
                answer = elb.describe_target_health(TargetGroupArn=arn)
            states += [target["TargetHealth"]["State"] for target in answer["TargetHealthDescriptions"]]
        return any(state == "healthy" for state in states) if states else None

    def put(self, traffic: RuleTraffic, position: Position) -> None:
        elb: Elb = client("elbv2", traffic.place.region)
        for weights in traffic.to_change(position):
            groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.groups]
            # Stickiness off: a client that came before the change must not stay where it was.
            to = {"TargetGroups": groups, "TargetGroupStickinessConfig": {"Enabled": False}}
            with translated():
                elb.modify_rule(RuleArn=weights.arn, Actions=[{"Type": "forward", "ForwardConfig": to}])


def _forwards(elb: Elb, listener_arn: str) -> Iterator[Weights]:
    """The listener rules that do nothing but forward; a default action is never ours."""
    pages: Iterator[dict[str, Any]] = iter(elb.get_paginator("describe_rules").paginate(ListenerArn=listener_arn))
    while True:
        with translated():
            page = next(pages, None)
        if page is None:
            return
        for rule in page["Rules"]:
            actions = rule.get("Actions", ())
            if rule.get("IsDefault") or len(actions) != 1 or actions[0].get("Type") != "forward":
                continue
            yield Weights(rule["RuleArn"], _groups(actions[0]))


def _groups(action: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """The groups with their weights; 1 where none is said."""
    groups = action.get("ForwardConfig", {}).get("TargetGroups") or [{"TargetGroupArn": action["TargetGroupArn"]}]
    return tuple((group["TargetGroupArn"], int(group.get("Weight", 1))) for group in groups)


def _owners(elb: Elb, arns: Sequence[str]) -> dict[str, tuple[str, str] | None]:
    """The load balancer and the rule that the tags of each name; None for what is not ours."""
    found: dict[str, tuple[str, str] | None] = {}
    for first in range(0, len(arns), TAGS_BATCH):
        with translated():
            answer = elb.describe_tags(ResourceArns=list(arns[first : first + TAGS_BATCH]))
        for description in answer["TagDescriptions"]:
            tags = {tag["Key"]: tag.get("Value", "") for tag in description.get("Tags", ())}
            ours = BALANCER_TAG in tags and RULE_TAG in tags
            found[description["ResourceArn"]] = (tags[BALANCER_TAG], tags[RULE_TAG]) if ours else None
    return found
