"""The work queue on SQS, and its messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.domain.errors import CloudError, Fault, InvalidInputError
from chalicelib.domain.resources import ResourceKind
from chalicelib.ports import ReconcileRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from mypy_boto3_sqs import SQSClient

VERSION = 1
BATCH = 10
LONGEST_DELAY = 900
"""Seconds. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""


class SqsQueue:
    """Implements WorkQueue."""

    def __init__(self, queue_url: str, region: str) -> None:
        self._url = queue_url
        self._region = region

    def send(self, requests: Sequence[ReconcileRequest], delay: timedelta | None = None) -> None:
        seconds = min(LONGEST_DELAY, max(0, round(delay.total_seconds()))) if delay else 0
        sqs = cast("SQSClient", client("sqs", self._region))
        for start in range(0, len(requests), BATCH):
            batch = requests[start : start + BATCH]
            with translated():
                answer = sqs.send_message_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(n), "MessageBody": encode(request), "DelaySeconds": seconds}
                        for n, request in enumerate(batch)
                    ],
                )
            if failed := answer.get("Failed"):
                raise CloudError(
                    failed[0]["Code"], f"{len(failed)} of {len(batch)} messages were refused", retryable=True
                )


def encode(request: ReconcileRequest) -> str:
    """The message's body."""
    return json.dumps(
        {
            "v": VERSION,
            "kind": request.kind.value,
            "region": request.region,
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
        if data["v"] != VERSION:
            raise InvalidInputError((Fault("v", f"is not {VERSION}"),))
        ids, expires_at = data["rule_ids"], datetime.fromisoformat(data["expires_at"])
        if not isinstance(ids, list) or not all(isinstance(id_, str) for id_ in ids) or expires_at.tzinfo is None:
            raise InvalidInputError((Fault("rule_ids", "is not a list of ids, or expires_at has no zone"),))
        return ReconcileRequest(
            ResourceKind(data["kind"]),
            str(data["region"]),
            tuple(ids),
            expires_at.astimezone(UTC),
            str(data["cause"]),
            int(data["attempt"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidInputError((Fault("body", f"is not a message of ours: {error}"),)) from error
