"""Opaque cursors: DynamoDB's last evaluated key, wrapped."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from chalicelib.domain.errors import Fault, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

# What DynamoDB takes for a key; it refuses the whole call for anything else.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_VALUES = {"S": re.compile(r".{1,1024}", re.DOTALL), "N": re.compile(r"\d{1,38}")}


def not_ours() -> InvalidInputError:
    """The refusal of a cursor that some other list made, or nobody."""
    return InvalidInputError((Fault("cursor", "is not a cursor of this list"),))


def encode(key: dict[str, dict[str, Any]] | None) -> str | None:
    """The cursor for the page behind this key; None behind the last page."""
    if key is None:
        return None
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode(
    cursor: str | None, texts: Iterable[str] = ("id",), numbers: Iterable[str] = ()
) -> dict[str, dict[str, Any]] | None:
    """The key in a cursor. Raises InvalidInputError for one that is not of a list with these key attributes."""
    if cursor is None:
        return None
    types = dict.fromkeys(texts, "S") | dict.fromkeys(numbers, "N")
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise not_ours() from error
    if not isinstance(key, dict) or key.keys() != types.keys():
        raise not_ours()
    if not all(_is_value(value, types[name]) for name, value in key.items()):
        raise not_ours()
    return key


def _is_value(value: object, type_: str) -> bool:
    if not isinstance(value, dict) or value.keys() != {type_}:
        return False
    inner = value[type_]
    return isinstance(inner, str) and bool(_VALUES[type_].fullmatch(inner))
