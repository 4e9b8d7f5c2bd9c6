"""The functions as Lambda has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient

    from scripts.deployment.stage import Stage


def code_of(stage: Stage, functions: LambdaClient) -> dict[str, str]:
    """The CodeSha256 of each function that is there, by the names that Chalice has for them."""
    found: dict[str, str] = {}
    for function, name in stage.functions.items():
        try:
            found[function] = functions.get_function_configuration(FunctionName=name)["CodeSha256"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
                raise
    return found


def boundary_of(role: str, iam: IAMClient) -> str | None:
    """The ARN of the policy that bounds a role; None for a role without one, or none at all."""
    try:
        found = iam.get_role(RoleName=role)["Role"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NoSuchEntity":
            return None
        raise
    return found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
