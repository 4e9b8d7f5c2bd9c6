"""What CloudWatch Logs sends to a subscribed function: base64, gzip, JSON, and nothing of it is trusted.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from typing import Any

LARGEST = 64 * 1024 * 1024
"""Bytes that a payload may unpack to: CloudWatch Logs sends at most 1 MB of events at once; more is an attack."""


class UnreadablePayloadError(Exception):
    """Not a subscription payload; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The log stream and its events, of which nothing is known yet; a CONTROL_MESSAGE has none."""

    stream: str
    events: list[object]


def unpack(event: object, log_group: str) -> Payload:
    """The payload of an event of our log group. Raises UnreadablePayloadError."""
    try:
        packed = base64.b64decode(event["awslogs"]["data"], validate=True)  # type: ignore[index]
        unpacker = zlib.decompressobj(wbits=31)
        text = unpacker.decompress(packed, LARGEST)
        if not unpacker.eof:
            raise UnreadablePayloadError("truncated, or larger than any payload can be")
        payload = _loads(text)
        if payload["messageType"] == "CONTROL_MESSAGE":
            return Payload("", [])
        if payload["logGroup"] != log_group:
            raise UnreadablePayloadError(f"from log group {str(payload['logGroup'])[:200]!r}, not ours")
        stream, events = str(payload["logStream"]), payload["logEvents"]
        if not isinstance(events, list):
            raise UnreadablePayloadError("without a list of events")
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnreadablePayloadError(f"{type(error).__name__}: {error}") from error
    return Payload(stream, events)


def _loads(text: bytes) -> Any:  # noqa: ANN401  (JSON, whatever it is)
    """What `json.loads` reads, and as it reads it: what orjson refuses, it is asked for (ADR 20). Raises ValueError."""
    import orjson  # of the functions that read logs alone

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
