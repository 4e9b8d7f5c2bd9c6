"""The queue in front of the `provision` function, and its messages."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.domain.errors import Fault, InvalidInputError

if TYPE_CHECKING:
    from datetime import timedelta

    from mypy_boto3_sqs import SQSClient

VERSION = 1
LONGEST_DELAY = 900
_ID = re.compile(r"lb_[A-Za-z0-9]{1,40}")


class SqsProvisionQueue:
    """Implements ProvisionQueue."""

    def __init__(self, queue_url: str, region: str) -> None:
        self._url, self._region = queue_url, region

    def send(self, load_balancer_id: str, delay: timedelta | None = None, *, at_once: bool = False) -> None:
        seconds = min(LONGEST_DELAY, max(0, math.ceil(delay.total_seconds()))) if delay else 0
        body = json.dumps({"v": VERSION, "load_balancer_id": load_balancer_id, "at_once": at_once})
        with translated():
            sqs = cast("SQSClient", client("sqs", self._region))
            sqs.send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=seconds)


def decode(body: str) -> tuple[str, bool]:
    """The load balancer's id in a message, and whether it is to be looked at at once. Raises InvalidInputError."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    id_ = found.get("load_balancer_id") if isinstance(found, dict) and found.get("v") == VERSION else None
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        raise InvalidInputError((Fault("", "is no message of ours"),))
    return id_, found.get("at_once") is True
