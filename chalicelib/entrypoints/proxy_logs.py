"""`proxy_logs`: subscribed to the log group of the proxies. Bad input is counted and skipped, never raised."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import zlib
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint

from chalicelib.bootstrap import evidence, parts
from chalicelib.entrypoints import logging_setup

if TYPE_CHECKING:
    from chalicelib.usecases.ingest_activity import LogLine

bp = Blueprint(__name__)
log = logging.getLogger(__name__)

LARGEST = 64 * 1024 * 1024
"""Bytes that a payload may unpack to: CloudWatch Logs sends at most 1 MB of events at once; more is an attack."""


class UnreadablePayloadError(Exception):
    """Not a subscription payload; the message says what is wrong with it."""


@bp.lambda_function(name="proxy_logs")
def proxy_logs(event: dict[str, Any], context: object) -> dict[str, int]:
    """CloudWatch Logs calls this; answers what became of the batch."""
    del context
    logging_setup.set_up()
    try:
        lines = unpack(event, parts.settings().proxy_log_group)
    except UnreadablePayloadError as error:
        log.warning("a payload was skipped", extra={"why": str(error)})
        return {"skipped": 1}
    if not lines:
        return {"skipped": 0}
    report = asdict(evidence.ingest().run(lines))
    log.info("ingested", extra=report)
    return report


def unpack(event: object, log_group: str) -> list[LogLine]:
    """The lines in a payload: base64, gzip, JSON. A CONTROL_MESSAGE has none. Raises UnreadablePayloadError.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
    """
    try:
        packed = base64.b64decode(event["awslogs"]["data"], validate=True)  # type: ignore[index]
        unpacker = zlib.decompressobj(wbits=31)
        text = unpacker.decompress(packed, LARGEST)
        if not unpacker.eof:
            raise UnreadablePayloadError("truncated, or larger than any payload can be")
        payload = json.loads(text)
        if payload["messageType"] == "CONTROL_MESSAGE":
            return []
        if payload["logGroup"] != log_group:
            raise UnreadablePayloadError(f"from log group {str(payload['logGroup'])[:200]!r}, not ours")
        stream = str(payload["logStream"])
        events = payload["logEvents"]
        if not isinstance(events, list):
            raise UnreadablePayloadError("without a list of events")
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnreadablePayloadError(f"{type(error).__name__}: {error}") from error
    return [_line(event, stream) for event in events]


def _line(event: object, stream: str) -> LogLine:
    """One event; of one without id, time or text an empty line is left, to be counted as malformed."""
    from chalicelib.usecases.ingest_activity import LogLine

    try:
        id_, timestamp, message = (event[name] for name in ("id", "timestamp", "message"))  # type: ignore[index]
        return LogLine(str(id_), stream, datetime.fromtimestamp(int(timestamp) / 1000, UTC), str(message))
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return LogLine("", stream, datetime.fromtimestamp(0, UTC), "")
