"""Opaque cursors: DynamoDB's last evaluated key, wrapped."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from chalicelib.domain.errors import Fault, InvalidInputError


def encode(key: dict[str, dict[str, Any]] | None) -> str | None:
    """The cursor for the page behind this key; None behind the last page."""
    if key is None:
        return None
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode(cursor: str | None, names: frozenset[str]) -> dict[str, dict[str, Any]] | None:
    """The key in a cursor. Raises InvalidInputError for one that is not of a list with these key attributes."""
    if cursor is None:
        return None
    refused = InvalidInputError((Fault("cursor", "is not a cursor of this list"),))
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise refused from error
    if not isinstance(key, dict) or set(key) != names or not all(_is_value(value) for value in key.values()):
        raise refused
    return key


def _is_value(value: object) -> bool:
    return isinstance(value, dict) and len(value) == 1 and all(isinstance(inner, str) for inner in value.values())
