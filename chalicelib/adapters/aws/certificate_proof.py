"""Reading the certificates of a proxy with the rights that its VM will have, before there is a VM.

What is in the secrets lives in the memory of this function for the time of a handshake; no table, log or answer has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3

from chalicelib.adapters.aws.clients import BOUNDED, client
from chalicelib.adapters.aws.errors import translated
from chalicelib.domain.errors import CloudError, Fault, NotYetError
from chalicelib.domain.network import secret_region
from chalicelib.envoy.pem import BadPairError, examine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.ports import Clock

_SESSION = "autostop-proves-certificates"
_SHORTEST = 900
"""Seconds. https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""

_DENIED = "AccessDeniedException"
"""Secrets Manager's. The rights were put a moment ago, by the step before: IAM is eventually consistent, so that with
other certificates the first try is refused as a rule. Who is still refused much later is refused for good."""


class CertificateProof:
    """What is wrong with the certificates of a load balancer, all of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, balancer: LoadBalancer, role_arn: str) -> tuple[Fault, ...]:
        """Raises NotYetError while the role, or what it may read, is not known everywhere; CloudError, ThrottledError.

        Faults that are sure go first: they are answered though another secret may be readable some seconds later.
        """
        session, denied = _session(balancer, role_arn), list[NotYetError]()
        faults = tuple(self._faults(balancer, session, self._clock.now(), denied))
        if denied and not faults:
            raise denied[0]
        return faults

    def _faults(
        self, balancer: LoadBalancer, session: boto3.Session, now: datetime, denied: list[NotYetError]
    ) -> Iterator[Fault]:
        for n, certificate in enumerate(balancer.certificates):
            texts: list[str] = []
            for field in ("certificate_secret_arn", "private_key_secret_arn"):
                try:
                    texts.append(_read(session, getattr(certificate, field)))
                except CloudError as error:
                    if error.retryable:
                        raise
                    if error.code == _DENIED:
                        denied.append(NotYetError(error.code, f"certificates[{n}].{field}: {error.message}"))
                        continue
                    yield Fault(f"certificates[{n}].{field}", f"the proxy could not read it: {error}")
            if len(texts) != len(("certificate", "key")):
                continue
            try:
                pair = examine(texts[0], texts[1])
            except BadPairError as error:
                yield Fault(f"certificates[{n}]", str(error))
                continue
            if pair.not_after <= now:
                yield Fault(f"certificates[{n}]", f"it expired at {pair.not_after:%Y-%m-%d %H:%M} UTC")


def _session(balancer: LoadBalancer, role_arn: str) -> boto3.Session:
    try:
        with translated():
            answer = client("sts", balancer.region).assume_role(
                RoleArn=role_arn, RoleSessionName=_SESSION, DurationSeconds=_SHORTEST
            )
    except CloudError as error:
        if error.code == "AccessDenied":
            # IAM tells its regions of a new role and its trust within some seconds.
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_general.html#troubleshoot_general_eventual-consistency
            raise NotYetError(error.code, error.message) from error
        raise
    keys = answer["Credentials"]
    return boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])


def _read(session: boto3.Session, arn: str) -> str:
    region = secret_region(arn)
    secrets: Any = session.client("secretsmanager", region_name=region, config=BOUNDED)
    with translated():
        text = secrets.get_secret_value(SecretId=arn).get("SecretString")
    if not text:
        raise CloudError("NoText", "the secret has no text in it")
    return str(text)
