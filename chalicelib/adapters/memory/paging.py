"""Pages and cursors of the stores in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from chalicelib.domain.errors import Fault, InvalidInputError
from chalicelib.ports import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


def page(items: Sequence[T], limit: int, cursor: str | None) -> Page[T]:
    """The page that starts at the cursor (an offset). Raises InvalidInputError for a cursor that is not ours."""
    if cursor is not None and not (cursor.startswith("m") and cursor[1:].isascii() and cursor[1:].isdigit()):
        raise InvalidInputError((Fault("cursor", "is not a cursor of this list"),))
    start = int(cursor[1:]) if cursor else 0
    end = start + limit
    return Page(tuple(items[start:end]), f"m{end}" if end < len(items) else None)
