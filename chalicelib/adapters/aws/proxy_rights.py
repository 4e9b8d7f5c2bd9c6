"""What the VM of a proxy may do, as IAM's documents: read its own secrets, write its own log streams. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws.proxy_names import secret_name

if TYPE_CHECKING:
    from chalicelib.domain.load_balancers import LoadBalancer


def rights(stage: str, log_group: str, home: str, partition: str, account: str, balancer: LoadBalancer) -> Any:  # noqa: ANN401  (JSON)
    """The inline policy. `home`: the control plane's region, where its log group is."""
    secrets = _secrets(stage, partition, account, balancer)
    stream = f"arn:{partition}:logs:{home}:{account}:log-group:{log_group}:log-stream:{balancer.id}/*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow(["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"], secrets),
            # Secrets that are encrypted with a key of the user's own, through Secrets Manager only and only for them.
            # https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
            _allow(["kms:Decrypt"], [f"arn:{partition}:kms:*:{account}:key/*"])
            | {
                "Condition": {
                    "StringLike": {
                        "kms:ViaService": "secretsmanager.*.amazonaws.com",
                        "kms:EncryptionContext:SecretARN": secrets,
                    }
                }
            },
            # Creating a stream is an action on the group; which stream it is, its name says.
            # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
            _allow(["logs:CreateLogStream", "logs:PutLogEvents"], [stream]),
        ],
    }


def trust(provisioner: str) -> Any:  # noqa: ANN401  (JSON)
    """Who takes the role on: the VM, and our own function that proves with its rights that the certificates serve."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
            {"Effect": "Allow", "Principal": {"AWS": provisioner}, "Action": "sts:AssumeRole"},
        ],
    }


def _secrets(stage: str, partition: str, account: str, balancer: LoadBalancer) -> list[str]:
    """Its key's, ours by name, for its ARN ends in six characters that nobody knows before; and its certificates'."""
    ours = f"arn:{partition}:secretsmanager:{balancer.region}:{account}:secret:{secret_name(stage, balancer.id)}-??????"
    pairs = [(c.certificate_secret_arn, c.private_key_secret_arn) for c in balancer.certificates]
    return sorted({balancer.api_key_secret_arn or ours, *(arn for pair in pairs for arn in pair)})


def _allow(actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}
