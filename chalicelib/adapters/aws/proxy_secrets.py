"""The secret that a proxy reads its key from."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import passed_over, translated
from chalicelib.adapters.aws.proxy_names import secret_name, tags
from chalicelib.domain.errors import CloudError
from chalicelib.domain.provisioning import KeySecret

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from chalicelib.domain.load_balancers import LoadBalancer

KEY_TAG = "autostop:api-key"
"""The id of the key that is in the secret: whoever may look at it need not be let read it."""

_MISSING = "ResourceNotFoundException"


class AwsProxySecrets:
    """Implements ProxySecrets."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def find(self, balancer: LoadBalancer) -> KeySecret | None:
        try:
            with translated():
                answer = _secrets(balancer).describe_secret(SecretId=secret_name(self._stage, balancer.id))
        except CloudError as error:
            if error.code == _MISSING:
                return None
            raise
        if "DeletedDate" in answer:
            return None
        keys = {tag.get("Key"): tag.get("Value") for tag in answer.get("Tags", ())}
        return KeySecret(answer["ARN"], keys.get(KEY_TAG))

    def create(self, balancer: LoadBalancer, token: str, key_id: str) -> str:
        with translated():
            answer = _secrets(balancer).create_secret(
                Name=secret_name(self._stage, balancer.id),
                Description=f"The API key of AutoStop's proxy {balancer.id}",
                SecretString=token,
                Tags=[{"Key": k, "Value": v} for k, v in (tags(self._stage, balancer) | {KEY_TAG: key_id}).items()],
            )
        return answer["ARN"]

    def renew(self, balancer: LoadBalancer, arn: str, token: str, key_id: str) -> None:
        with translated():
            secrets = _secrets(balancer)
            # The value first: a tag that is behind only has it renewed once more.
            secrets.put_secret_value(SecretId=arn, SecretString=token)
            secrets.tag_resource(SecretId=arn, Tags=[{"Key": KEY_TAG, "Value": key_id}])

    def delete(self, balancer: LoadBalancer, arn: str) -> None:
        with passed_over(frozenset({_MISSING})):
            _secrets(balancer).delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)


def _secrets(balancer: LoadBalancer) -> SecretsManagerClient:
    return cast("SecretsManagerClient", client("secretsmanager", balancer.region))
