"""The warm-up function in Lambda, and who may call it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import passed_over, translated
from chalicelib.domain.alb_seen import SeenFunction
from chalicelib.domain.errors import CloudError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

STATEMENT = "autostop-load-balancers"
"""One for all load balancers: a function's policy has room for 20 KB.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

_MISSING = "ResourceNotFoundException"


class AwsWarmUpFunction:
    """Implements WarmUpFunction. `name` is the function's name, or its ARN."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find(self, region: str) -> SeenFunction | None:
        try:
            with translated():
                found = _lambda(region).get_function_configuration(FunctionName=self._name)
        except CloudError as error:
            if error.code == _MISSING:
                return None
            raise
        return SeenFunction(
            found["FunctionArn"], self._allowed(region), found.get("CodeSha256", ""), found.get("LastModified", "")
        )

    def allow(self, region: str) -> None:
        found = self.find(region)
        if found is None:
            raise CloudError(_MISSING, f"there is no function {self._name} in {region}")
        _, partition, _, place, account = found.arn.split(":")[:5]
        with passed_over(frozenset({"ResourceConflictException"})):
            _lambda(region).add_permission(
                FunctionName=self._name,
                StatementId=STATEMENT,
                Action="lambda:InvokeFunction",
                Principal="elasticloadbalancing.amazonaws.com",
                SourceArn=f"arn:{partition}:elasticloadbalancing:{place}:{account}:targetgroup/as-*",
            )

    def _allowed(self, region: str) -> bool:
        try:
            with translated():
                policy = _lambda(region).get_policy(FunctionName=self._name)["Policy"]
        except CloudError as error:
            if error.code == _MISSING:
                return False
            raise
        return any(one.get("Sid") == STATEMENT for one in json.loads(policy).get("Statement", ()))


def _lambda(region: str) -> LambdaClient:
    return cast("LambdaClient", client("lambda", region))
