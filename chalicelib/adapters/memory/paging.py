"""Pages and cursors of the stores in memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from chalicelib.domain.errors import Fault, InvalidInputError
from chalicelib.ports import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


def by_id(item: Any) -> list[str]:  # noqa: ANN401  (whatever a list is of: everything has an id)
    """The order of most lists."""
    return [item.id]


def page(
    items: Iterable[T],
    limit: int,
    cursor: str | None,
    key: Callable[[T], list[str]] = by_id,
    *,
    of: str = "",
    newest_first: bool = False,
) -> Page[T]:
    """The page behind the cursor, which holds the key of the last item before it.

    So nothing is skipped when something else goes between two pages, as in DynamoDB. Raises InvalidInputError for a
    cursor that is not of the list `of`.
    """
    ordered = sorted(items, key=key, reverse=newest_first)
    if cursor is not None:
        last = _decode(cursor, of)
        ordered = [item for item in ordered if (key(item) < last if newest_first else key(item) > last)]
    found = tuple(ordered[:limit])
    return Page(found, _encode(of, key(found[-1])) if len(ordered) > limit else None)


def _encode(of: str, key: list[str]) -> str:
    return "m" + json.dumps([of, *key]).encode().hex()


def _decode(cursor: str, of: str) -> list[str]:
    refused = InvalidInputError((Fault("cursor", "is not a cursor of this list"),))
    try:
        parts = json.loads(bytes.fromhex(cursor.removeprefix("m")))
    except ValueError as error:
        raise refused from error
    if not isinstance(parts, list) or parts[:1] != [of]:
        raise refused
    return [str(part) for part in parts[1:]]
