"""The work queue on SQS, and its messages."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.domain.errors import CloudError, Fault, InvalidInputError
from chalicelib.domain.resources import Connector, Place, ResourceKind
from chalicelib.ports import ReconcileRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import BatchResultErrorEntryTypeDef

VERSION = 1
BATCH = 10
LONGEST_DELAY = 900
"""Seconds. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""


MOST_RULES = 500
"""As many as are put into a message (docs/adr/0022)."""

MOST_ATTEMPTS = 100
LONGEST_CAUSE = 200

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class SqsQueue:
    """Implements WorkQueue. `make` answers the client of a service in a region, the same one each time."""

    def __init__(self, queue_url: str, region: str, make: Callable[[str, str], object] = client) -> None:
        self._url = queue_url
        self._region = region
        self._make = make

    def send(self, requests: Sequence[ReconcileRequest], delay: timedelta | None = None) -> None:
        seconds = min(LONGEST_DELAY, max(0, math.ceil(delay.total_seconds()))) if delay else 0
        sqs = cast("SQSClient", self._make("sqs", self._region))
        failed: list[BatchResultErrorEntryTypeDef] = []
        for start in range(0, len(requests), BATCH):
            with translated():
                answer = sqs.send_message_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(n), "MessageBody": encode(request), "DelaySeconds": seconds}
                        for n, request in enumerate(requests[start : start + BATCH])
                    ],
                )
            failed += answer.get("Failed", [])
        if failed:
            # Said only now: what SQS took of the rest is on its way, and a message sent twice is harmless.
            message = f"{len(failed)} of {len(requests)} messages were refused: {failed[0].get('Message', '')}"
            raise CloudError(failed[0]["Code"], message, retryable=not failed[0]["SenderFault"])


def encode(request: ReconcileRequest) -> str:
    """The message's body."""
    return json.dumps(
        {
            "v": VERSION,
            "kind": request.place.kind.value,
            "region": request.place.region,
            "connector": asdict(request.place.connector),
            "rule_ids": list(request.rule_ids),
            "expires_at": request.expires_at.isoformat(),
            "cause": request.cause,
            "attempt": request.attempt,
        }
    )


def decode(body: str) -> ReconcileRequest:
    """The request in a message. Raises InvalidInputError for anything that `encode` does not make."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError((Fault("body", f"is not JSON: {error}"),)) from error
    if not isinstance(data, dict) or data.get("v") != VERSION:
        raise InvalidInputError((Fault("v", f"is not {VERSION}"),))
    faults = tuple(Fault(field, words) for field, (right, words) in _CHECKS.items() if not right(data.get(field)))
    if faults:
        raise InvalidInputError(faults)
    return ReconcileRequest(
        Place(ResourceKind(data["kind"]), data["region"], Connector(**(data.get("connector") or {}))),
        tuple(data["rule_ids"]),
        datetime.fromisoformat(data["expires_at"]).astimezone(UTC),
        data["cause"],
        data["attempt"],
    )


def _is_kind(value: object) -> bool:
    return value in [kind.value for kind in ResourceKind]


def _is_region(value: object) -> bool:
    return isinstance(value, str) and bool(_REGION.fullmatch(value))


def _is_connector(value: object) -> bool:
    """Absent in messages of a version before it."""
    if value is None:
        return True
    fields = {"role_arn", "external_id"}
    return isinstance(value, dict) and value.keys() == fields and all(isinstance(value[name], str) for name in fields)


def _are_ids(value: object) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_RULES:
        return False
    return all(isinstance(id_, str) and _ID.fullmatch(id_) for id_ in value)


def _is_time(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        at = datetime.fromisoformat(value)
        return at.tzinfo is not None and at.astimezone(UTC) is not None
    except (ValueError, OverflowError):
        return False


def _is_cause(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_CAUSE


def _is_attempt(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_ATTEMPTS


_CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "kind": (_is_kind, "is not a kind of resource"),
    "region": (_is_region, "is not a region"),
    "connector": (_is_connector, "is not a role and its external id"),
    "rule_ids": (_are_ids, f"is not a list of 1 to {MOST_RULES} ids"),
    "expires_at": (_is_time, "is not a time with a zone"),
    "cause": (_is_cause, "is not a short text"),
    "attempt": (_is_attempt, "is not a small count"),
}
