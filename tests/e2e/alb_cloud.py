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
- what each action needs (`alb_rights`), so that the policies are enforced as they are.
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/Welcome.html

Still not so here: priorities may be taken twice, query parameters reach a function decoded, requests go to targets
that are not healthy, a load balancer is active at once, and nothing is counted in CloudWatch.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import alb_rights
import fuller_cloud
from ministack.app import main
from ministack.core.responses import get_account_id, get_region
from ministack.services import alb, ec2, lambda_svc, route53

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS = {
    "application-load-balancers": 50,
    "rules-per-application-load-balancer": 100,
    "target-groups": 3000,
    "target-groups-per-application-load-balancer": 100,
    "targets-per-application-load-balancer": 1000,
}
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html"""

_parse_actions, _action_xml, _execute = alb._parse_actions, alb._action_xml, alb._execute_actions
_normalised = route53._normalise_name
_invoke = lambda_svc._execute_function_with_config_scope
_of = alb._p


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
            words = f"{alb_rights.ELB} principal does not have permission to invoke {one['Id']} from target group {arn}"
            return alb._error("AccessDenied", words, 403)
    return alb._register_targets(params)


def may_call(function: str, group: str) -> bool:
    """Whether the function's own policy lets load balancers call it through this target group."""
    scope = {"account_id": get_account_id(), "region": get_region()}
    found, _, _ = lambda_svc._get_func_record_for_ref_in_scope(function, **scope)
    for one in (found or {}).get("policy", {}).get("Statement", ()):
        source = one.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn", "*")
        if one["Principal"] == {"Service": f"{alb_rights.ELB}.amazonaws.com"} and fnmatchcase(group, source):
            return True
    return False


def limits(params: dict[str, Any]) -> Any:
    """The default ones. https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeAccountLimits.html"""
    del params
    words = "".join(f"<member><Name>{name}</Name><Max>{most}</Max></member>" for name, most in LIMITS.items())
    return alb._xml(200, "DescribeAccountLimits", f"<Limits>{words}</Limits>")


def fill() -> None:
    """Put all of it into the emulator that is to run in this process."""
    fuller_cloud.fill()
    alb_rights.fill()
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
    threading.Thread(target=check_for_ever, daemon=True).start()


if __name__ == "__main__":
    fill()
    main()
