"""Secrets Manager, as the agent needs it: which version a secret is at, and what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from chalicelib.agent.settings import Settings


class SecretUnavailableError(Exception):
    """No answer, or a refusal, in AWS's words."""


class SecretSource(Protocol):
    """Both methods block and raise SecretUnavailableError and nothing else."""

    def version(self, arn: str) -> str:
        """The id of the current version."""
        ...

    def read(self, arn: str) -> str:
        """The text of the current version."""
        ...


class SecretsManager:
    """SecretSource with the VM's own role, which needs DescribeSecret and GetSecretValue of these secrets.

    A secret may lie in another region than the proxy: its ARN says in which.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients: dict[str, Any] = {}

    def version(self, arn: str) -> str:
        stages = self._call("describe_secret", arn).get("VersionIdsToStages", {})
        current = [id_ for id_, names in stages.items() if "AWSCURRENT" in names]
        if not current:
            raise SecretUnavailableError(f"{arn} has no current version")
        return str(current[0])

    def read(self, arn: str) -> str:
        text = self._call("get_secret_value", arn).get("SecretString")
        if not text:
            raise SecretUnavailableError(f"{arn} is no text")
        return str(text)

    def _call(self, method: str, arn: str) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  (0.2 s: only proxies with TLS)

        try:
            answer: dict[str, Any] = getattr(self._client(arn), method)(SecretId=arn)
        except ClientError as error:
            raise SecretUnavailableError(str(error)[:300]) from None
        except BotoCoreError as error:
            raise SecretUnavailableError(f"{type(error).__name__}: {error}"[:300]) from None
        return answer

    def _client(self, arn: str) -> Any:  # noqa: ANN401  (boto3 makes its clients at run time)
        parts = arn.split(":")
        region = parts[3] if len(parts) > 3 and parts[3] else self._settings.region  # noqa: PLR2004
        if region not in self._clients:
            import boto3  # noqa: PLC0415
            from botocore.config import Config  # noqa: PLC0415

            bounded = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
            self._clients[region] = boto3.client("secretsmanager", region_name=region, config=bounded)
        return self._clients[region]
