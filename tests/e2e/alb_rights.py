"""What an action of Elastic Load Balancing needs, put into MiniStack, which knows the resources of few of them.

The resources of each action, the tags of resources, what else an action needs (`AddTags` for what is tagged as it is
made), and the condition keys of a permission for a function and of records in Route 53.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import fuller_cloud
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import alb, tagging

if TYPE_CHECKING:
    from collections.abc import Iterator

ELB = "elasticloadbalancing"
NEW = {
    "CreateLoadBalancer": "loadbalancer/app/{}/0123456789abcdef",
    "CreateTargetGroup": "targetgroup/{}/0123456789abcdef",
}
INSIDE = {"CreateListener": ("loadbalancer", "listener"), "CreateRule": ("listener", "listener-rule")}
OTHERS = "what else is checked"
"""Under this name the condition keys of a request carry the other permissions that it needs."""

_param = iam_actions._query_param
_enforce = iam_evaluator.enforce


def resources(params: Any) -> list[str]:
    """All that a request is checked on. A describe knows none."""
    action = _param(params, "Action")
    if action.startswith("Describe"):
        return ["*"]
    if action in NEW:
        return [f"arn:aws:{ELB}:{get_region()}:{get_account_id()}:" + NEW[action].format(_param(params, "Name"))]
    if action == "SetRulePriorities":
        return [_param(params, name) for name in params if re.fullmatch(r"RulePriorities\.member\.\d+\.RuleArn", name)]
    named = (_param(params, f"{kind}Arn") for kind in ("Rule", "Listener", "TargetGroup", "LoadBalancer"))
    return [next((arn for arn in named if arn), "*")]


def resource(service: str, method: str, path: str, headers: Any, body: bytes, params: Any, *where: str) -> str:
    """The first of them."""
    if service == ELB:
        return resources(params)[0]
    return fuller_cloud.resource(service, method, path, headers, body, params, *where)


def condition_keys(service: str, action: str, body: bytes, params: Any) -> dict[str, Any]:
    """Those of `fuller_cloud`, who is let call a function, which records are changed, and what else is checked."""
    keys = fuller_cloud.condition_keys(service, action, body, params)
    name = action.partition(":")[2]
    if action == "lambda:AddPermission":
        keys["lambda:principal"] = json.loads(body)["Principal"]
    if action == "route53:ChangeResourceRecordSets":
        keys["route53:changeresourcerecordsetsrecordtypes"] = re.findall("<Type>(.+?)</Type>", body.decode())
    if service == ELB:
        first, *more = resources(params)
        others = [(action, arn, {}) for arn in more]
        if name.startswith("Create") and "aws:TagKeys" in keys:
            old, new = INSIDE.get(name, ("", ""))
            made = first.replace(f":{old}/", f":{new}/", 1) + "/0123456789abcdef" if old else first
            tags = {key: value for key, value in keys.items() if key.lower().startswith("aws:")}
            others.append((f"{ELB}:AddTags", made, tags | {f"{ELB}:createaction": name}))
        if name in {"CreateLoadBalancer", "SetSecurityGroups"}:
            others.append(("ec2:GetSecurityGroupsForVpc", "*", {}))
        if name == "SetRulePriorities":  # the one change for which AWS names no tags
            hidden = {tag["Key"] for arn in resources(params) for tag in alb._tags.get(arn, ())}
            keys |= {f"aws:resourcetag/{tag}".lower(): None for tag in hidden}
            others = [(action, arn, dict(keys)) for arn in more]
        keys[OTHERS] = others
    return keys


def enforce(key: str, action: str, service: str, region: str, **asked: Any) -> Any:
    """Every permission that the request needs."""
    context = dict(asked.pop("service_context", None) or {})
    others = context.pop(OTHERS, ())
    denied = _enforce(key, action, service, region, service_context=context, **asked)
    for other, arn, keys in others:
        denied = denied or _enforce(key, other, service, region, resource_arn=arn, service_context=keys)
    return denied


def elb_tags() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """By ARN."""
    yield from alb._tags.items()


def fill() -> None:
    """Put all of it into the emulator that is to run in this process."""
    iam_actions._BOTOCORE_SERVICE_MAP[ELB] = ["elbv2"]
    iam_actions.extract_resource_arn = resource
    iam_actions.request_tag_context = condition_keys
    iam_evaluator.enforce = enforce
    tagging._RESOURCE_TAG_COLLECTORS[ELB] = elb_tags
