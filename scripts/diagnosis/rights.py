"""Whether the roles of the functions may do what their policies say: an organisation's rules can forbid it still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from scripts import policies
from scripts.diagnosis.finding import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_iam import IAMClient

    from scripts.deployment.deployment import Deployment
    from scripts.deployment.stage import Stage


def look(deployment: Deployment) -> Iterator[Finding]:
    """Each function's policy, simulated; statements with conditions hang on what a call is about, and are left out.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    iam, stage = deployment.session.client("iam"), deployment.stage
    for function in policies.TABLES:
        role = f"autostop-{stage.name}-{function}"
        try:
            arn = iam.get_role(RoleName=role)["Role"]["Arn"]
            denied = sorted({action for one in _unconditional(function) for action in _denied(iam, arn, one, stage)})
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code == "NoSuchEntity":
                yield Finding(
                    Level.WRONG, f"{function}: its role {role} is gone", f"./scripts/deploy --stage {stage.name}"
                )
                continue
            yield Finding(
                Level.WATCH,
                f"{function}: its rights could not be simulated: {code}",
                "That needs iam:GetRole and iam:SimulatePrincipalPolicy.",
            )
            return
        if denied:
            remedy = "Something above the role forbids it: a boundary, or a policy of the organisation."
            yield Finding(Level.WRONG, f"{function} may not {', '.join(denied)}", remedy)
        else:
            yield Finding(Level.WELL, f"{function} may do what its policy says")


def _unconditional(function: str) -> list[dict[str, Any]]:
    return [one for one in policies.policy(function)["Statement"] if "Condition" not in one]


def _denied(iam: IAMClient, role: str, statement: dict[str, Any], stage: Stage) -> Iterator[str]:
    actions, resources = statement["Action"], statement["Resource"]
    asked = iam.simulate_principal_policy(
        PolicySourceArn=role,
        ActionNames=[actions] if isinstance(actions, str) else actions,
        ResourceArns=[_sample(one, stage) for one in ([resources] if isinstance(resources, str) else resources)],
    )
    for result in asked["EvaluationResults"]:
        if result["EvalDecision"] != "allowed":
            yield result["EvalActionName"]


def _sample(arn: str, stage: Stage) -> str:
    """One of the things that an ARN of a policy stands for, in this stage."""
    if arn == "*":
        return arn
    parts = arn.split(":", 5)
    for place, one in ((1, "aws"), (3, stage.region), (4, stage.account)):
        parts[place] = one if parts[place] == "*" else parts[place]
    parts[5] = parts[5].replace("autostop-*", f"autostop-{stage.name}").replace("*", "x")
    return ":".join(parts)
