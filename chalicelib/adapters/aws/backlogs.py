"""What waits in SQS."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.ports.backlogs import Backlog

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsBacklogs:
    """Implements Backlogs, by the URLs of the worker's queue and of the one for dead letters."""

    def __init__(self, queue_url: str, dead_letters_url: str, region: str) -> None:
        self._urls, self._region = (queue_url, dead_letters_url), region

    def now(self) -> Backlog:
        waiting, dead = (self._count(url) for url in self._urls)
        return Backlog(waiting, dead)

    def _count(self, url: str) -> int:
        sqs = cast("SQSClient", client("sqs", self._region))
        with translated():
            told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(told["Attributes"]["ApproximateNumberOfMessages"])
