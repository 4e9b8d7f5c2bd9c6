"""Lines to CloudWatch Logs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.agent.settings import Settings

log = logging.getLogger(__name__)

EVENTS_A_CALL = 3000
"""Of at most 330 bytes, 26 of overhead included: 10,000 events and 1 MB are allowed.
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html"""


_THROTTLED = frozenset({"ThrottlingException", "Throttling", "ServiceUnavailableException"})
"""Nothing is wrong with the stream then, and making it anew would be one more call to be throttled."""


class LogSink(Protocol):
    """Where lines go. `put` blocks and raises OSError when they did not arrive."""

    def put(self, lines: list[str], at: datetime) -> None:
        """Send the lines of one sequence, in order, in one call where they fit. `at` is the time now."""
        ...


class CloudWatchSink:
    """CloudWatch Logs with the VM's own role."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Any = None

    def put(self, lines: list[str], at: datetime) -> None:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  (as below)

        group = self._settings.log_group
        stream = f"{self._settings.load_balancer_id}/{self._settings.member}"
        stamp = int(at.timestamp() * 1000)
        try:
            if self._client is None:
                self._client = self._connect(group, stream)
            for start in range(0, len(lines), EVENTS_A_CALL):
                events = [{"timestamp": stamp, "message": line} for line in lines[start : start + EVENTS_A_CALL]]
                answer = self._client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
                refused = answer.get("rejectedLogEventsInfo")
                if refused:
                    # All of them, as they have one time, and that is ours: they are taken once our clock is right.
                    raise OSError(f"CloudWatch Logs refused lines of {at.isoformat()}; is the clock right? {refused}")
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _THROTTLED:
                self._client = None  # the stream may be gone: it is made anew
            raise OSError(str(error)) from error
        except BotoCoreError as error:
            self._client = None
            raise OSError(str(error)) from error

    def _connect(self, group: str, stream: str) -> Any:  # noqa: ANN401  (boto3 makes its clients at run time)
        import boto3  # noqa: PLC0415  (costs 0.2 s: not before the first heartbeat)
        from botocore.config import Config  # noqa: PLC0415

        bounded = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
        client = boto3.client("logs", region_name=self._settings.region, config=bounded)
        try:
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        except client.exceptions.ResourceAlreadyExistsException:
            log.info("the log stream is there already")
        return client
