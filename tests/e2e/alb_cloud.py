"""MiniStack with what it lacks of Elastic Load Balancing, and of `fuller_cloud`: `python tests/e2e/alb_cloud.py`.

It has an ALB's data plane with real HTTP, which is what this is about, but sends everything of a rule to one target
group, calls every target healthy, and knows the resources of few actions. Added here as AWS documents it:

- actions that forward to several target groups with weights, and pages in fixed responses (its XML breaks on HTML);
- health checks that are made, with interval, thresholds and matcher: `initial`, `healthy`, `unhealthy`, `unused`;
- multi-value headers alone in the event and in the answer, where a target group of a function has them on;
- a load balancer is in the VPC of its subnets, and takes its listeners and their rules along when it is deleted;
- a target group that something forwards to cannot be deleted, and a function that load balancers may not call cannot
  be registered;
- the quotas of an account; ids, and a * in Route 53, as AWS writes them;
- the resources of each action, the tags of resources, what else an action needs (`AddTags` for what is tagged as it
  is made), and the principal of a permission for a function, so that the policies are enforced as they are.
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/Welcome.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html

Still not so here: priorities may be taken twice, query parameters reach a function decoded, requests go to targets
that are not healthy, a load balancer is active at once, and nothing is counted in CloudWatch.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import fuller_cloud
from ministack.app import main
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import alb, ec2, lambda_svc, route53, tagging

if TYPE_CHECKING:
    from collections.abc import Iterator

ELB = "elasticloadbalancing"
LIMITS = {
    "application-load-balancers": 50,
    "rules-per-application-load-balancer": 100,
    "target-groups": 3000,
    "target-groups-per-application-load-balancer": 100,
    "targets-per-application-load-balancer": 1000,
}
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html"""

NEW = {
    "CreateLoadBalancer": "loadbalancer/app/{}/0123456789abcdef",
    "CreateTargetGroup": "targetgroup/{}/0123456789abcdef",
}
INSIDE = {"CreateListener": ("loadbalancer", "listener"), "CreateRule": ("listener", "listener-rule")}
OTHERS = "what else is checked"
"""Under this name the condition keys of a request carry the other permissions that it needs."""

_parse_actions, _action_xml, _execute = alb._parse_actions, alb._action_xml, alb._execute_actions
_normalised = route53._normalise_name
_invoke = lambda_svc._execute_function_with_config_scope
_of, _param = alb._p, iam_actions._query_param


# Actions


def parse_actions(params: dict[str, Any], prefix: str = "DefaultActions") -> list[dict[str, Any]]:
    """With the groups of each that forwards to several, and their weights."""
    found: list[dict[str, Any]] = _parse_actions(params, prefix)
    for number, action in enumerate(found, 1):
        base = f"{prefix}.member.{number}.ForwardConfig"
        groups = list(weights(params, f"{base}.TargetGroups.member"))
        if groups:
            action["Groups"] = groups
            action["Sticky"] = _of(params, f"{base}.TargetGroupStickinessConfig.Enabled", "false")
    return found


def weights(params: dict[str, Any], base: str) -> Iterator[tuple[str, int]]:
    """By target group; 1 where none is said."""
    number = 1
    while arn := _of(params, f"{base}.{number}.TargetGroupArn"):
        yield arn, int(_of(params, f"{base}.{number}.Weight", "1"))
        number += 1


def action_xml(action: dict[str, Any]) -> str:
    """As an answer has it."""
    if "FixedResponseConfig" in action:
        answer = action["FixedResponseConfig"]
        action = action | {"FixedResponseConfig": answer | {"MessageBody": escape(answer.get("MessageBody", ""))}}
    words: str = _action_xml(action)
    if "Groups" not in action:
        return words
    groups = "".join(
        f"<member><TargetGroupArn>{arn}</TargetGroupArn><Weight>{weight}</Weight></member>"
        for arn, weight in action["Groups"]
    )
    sticky = f"<TargetGroupStickinessConfig><Enabled>{action['Sticky']}</Enabled></TargetGroupStickinessConfig>"
    config = f"<ForwardConfig><TargetGroups>{groups}</TargetGroups>{sticky}</ForwardConfig>"
    return words.removesuffix("</member>") + config + "</member>"


async def execute(actions: list[dict[str, Any]], *asked: Any, **more: Any) -> Any:
    """A request goes to one of the groups, by weight; where all of them have none, nowhere."""
    return await _execute([chosen(action) for action in actions], *asked, **more)


def chosen(action: dict[str, Any]) -> dict[str, Any]:
    """The action for one request."""
    if "Groups" not in action:
        return action
    arns, weighed = zip(*action["Groups"], strict=True)
    if not any(weighed):
        return {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
    return action | {"TargetGroupArn": random.choices(arns, weighed)[0]}


def invoke(function: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#multi-value-headers"""
    several = "elb" in (event.get("requestContext") or {}) and "multiValueHeaders" in event
    if several:
        event = {name: value for name, value in event.items() if name not in {"headers", "queryStringParameters"}}
    done: dict[str, Any] = _invoke(function, event)
    answer, _ = lambda_svc.lambda_execute_result_to_api_proxy_response(done)
    if several and answer and not done.get("error"):
        done = done | {"body": {name: value for name, value in answer.items() if name != "headers"}}
    return done


def forwarded_to() -> set[str]:
    """Target groups that a listener or a rule of one names."""
    actions = [action for rule in alb._rules.values() for action in rule["Actions"]]
    several = {arn for action in actions for arn, _ in action.get("Groups", ())}
    return several | {action["TargetGroupArn"] for action in actions if "TargetGroupArn" in action}


# Health checks


@dataclass
class Target:
    """A target as the checks have seen it; `run`: checks in a row that ended as the last one did."""

    state: str = "initial"
    passed: bool = False
    run: int = 0

    def saw(self, group: dict[str, Any], *, passed: bool) -> None:
        """A new target needs one check to be healthy.

        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
        """
        self.run, self.passed = self.run + 1 if passed is self.passed else 1, passed
        if passed and self.run >= (1 if self.state == "initial" else group["HealthyThresholdCount"]):
            self.state = "healthy"
        elif not passed and self.run >= group["UnhealthyThresholdCount"]:
            self.state = "unhealthy"


targets: dict[tuple[str, str, int], Target] = {}


def check_for_ever() -> None:
    """Every group of addresses, at its interval."""
    due: dict[str, float] = {}
    while True:
        for arn, group in list(alb._tgs.items()):
            if group["TargetType"] == "ip" and arn in forwarded_to() and due.get(arn, 0) <= time.monotonic():
                due[arn] = time.monotonic() + group["HealthCheckIntervalSeconds"]
                for one in list(alb._targets.get(arn, ())):
                    port = one.get("Port", group["Port"])
                    known = targets.setdefault((arn, one["Id"], port), Target())
                    known.saw(group, passed=answers(group, one["Id"], port))
        time.sleep(0.1)


def answers(group: dict[str, Any], address: str, port: int) -> bool:
    """Whether a target passes one check."""
    to = group["HealthCheckPort"]
    asked = HTTPConnection(address, port if to == "traffic-port" else int(to), group["HealthCheckTimeoutSeconds"])
    try:
        asked.request("GET", group["HealthCheckPath"], headers={"User-Agent": "ELB-HealthChecker/2.0"})
        status = asked.getresponse().status
    except (OSError, HTTPException):
        return False
    finally:
        asked.close()
    spans = (part.partition("-") for part in group["Matcher"]["HttpCode"].split(","))
    return any(int(first) <= status <= int(last or first) for first, _, last in spans)


def health(params: dict[str, Any]) -> Any:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html"""
    arn = _of(params, "TargetGroupArn")
    group = alb._tgs.get(arn)
    if group is None:
        return alb._error("TargetGroupNotFound", f"Target group '{arn}' not found.")
    words = ""
    for one in alb._targets.get(arn, ()):
        port, known = "", "unavailable"
        if group["TargetType"] != "lambda":
            number = one.get("Port", group["Port"])
            port, seen = f"<Port>{number}</Port>", targets.get((arn, one["Id"], number), Target())
            known = seen.state if arn in forwarded_to() else "unused"
        state = f"<TargetHealth><State>{known}</State></TargetHealth>"
        words += f"<member><Target><Id>{one['Id']}</Id>{port}</Target>{state}</member>"
    return alb._xml(200, "DescribeTargetHealth", f"<TargetHealthDescriptions>{words}</TargetHealthDescriptions>")


# What is made, and goes


def create(params: dict[str, Any]) -> Any:
    """In the VPC of its first subnet."""
    subnet = ec2._subnets.get(_of(params, "Subnets.member.1"))
    if subnet is None:
        return alb._error("SubnetNotFound", "The subnet does not exist")
    return alb._create_lb(params | {"VpcId": subnet["VpcId"]})


def delete(params: dict[str, Any]) -> Any:
    """With its listeners and their rules."""
    arn = _of(params, "LoadBalancerArn")
    for listener in [one for one in alb._listeners.values() if one["LoadBalancerArn"] == arn]:
        alb._delete_listener({"ListenerArn": listener["ListenerArn"]})
    return alb._delete_lb(params)


def delete_group(params: dict[str, Any]) -> Any:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteTargetGroup.html"""
    arn = _of(params, "TargetGroupArn")
    if arn in forwarded_to():
        return alb._error("ResourceInUse", f"Target group '{arn}' is currently in use by a listener or a rule")
    return alb._delete_tg(params)


def register(params: dict[str, Any]) -> Any:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#register-lambda"""
    arn = _of(params, "TargetGroupArn")
    for one in alb._parse_targets_param(params):
        if one["Id"].startswith("arn:aws:lambda:") and not may_call(one["Id"], arn):
            words = f"{ELB} principal does not have permission to invoke {one['Id']} from target group {arn}"
            return alb._error("AccessDenied", words, 403)
    return alb._register_targets(params)


def may_call(function: str, group: str) -> bool:
    """Whether the function's own policy lets load balancers call it through this target group."""
    scope = {"account_id": get_account_id(), "region": get_region()}
    found, _, _ = lambda_svc._get_func_record_for_ref_in_scope(function, **scope)
    for one in (found or {}).get("policy", {}).get("Statement", ()):
        source = one.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn", "*")
        if one["Principal"] == {"Service": f"{ELB}.amazonaws.com"} and fnmatchcase(group, source):
            return True
    return False


def limits(params: dict[str, Any]) -> Any:
    """The default ones. https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeAccountLimits.html"""
    del params
    words = "".join(f"<member><Name>{name}</Name><Max>{most}</Max></member>" for name, most in LIMITS.items())
    return alb._xml(200, "DescribeAccountLimits", f"<Limits>{words}</Limits>")


# Rights

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
    fuller_cloud.fill()
    iam_actions._BOTOCORE_SERVICE_MAP[ELB] = ["elbv2"]
    route53._normalise_name = lambda name: _normalised(name).replace("*", "\\052")
    alb._short_id = lambda: f"{random.getrandbits(64):016x}"
    alb._parse_actions, alb._action_xml, alb._execute_actions = parse_actions, action_xml, execute
    lambda_svc._execute_function_with_config_scope = invoke
    alb._ACTION_MAP |= {
        "CreateLoadBalancer": create,
        "DeleteLoadBalancer": delete,
        "DeleteTargetGroup": delete_group,
        "DescribeAccountLimits": limits,
        "DescribeTargetHealth": health,
        "RegisterTargets": register,
    }
    iam_actions.extract_resource_arn = resource
    iam_actions.request_tag_context = condition_keys
    iam_evaluator.enforce = enforce
    tagging._RESOURCE_TAG_COLLECTORS[ELB] = elb_tags
    threading.Thread(target=check_for_ever, daemon=True).start()


if __name__ == "__main__":
    fill()
    main()
