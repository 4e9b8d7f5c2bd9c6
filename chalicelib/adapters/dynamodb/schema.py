"""The version of what is stored, and the way forward from older ones (ADR 26).

An item has the version it was written in as `v`; without one it is of version 1. Items are brought forward as they are
read, one step after another, and written in the newest version when they are next written whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.domain.errors import NewerSchemaError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Raw = dict[str, dict[str, Any]]
    """An item as DynamoDB answers it: attribute → {type: value}."""
    Steps = Mapping[int, Mapping[str, Callable[[Raw], Raw]]]
    """By the version that it leads from, for each table that changes with it."""

SCHEMA = 1
"""Of this release. Raised by one for every change of shape that an older release would misread."""

VERSION = "v"

STEPS: Steps = {}
"""From n to n + 1, by table. A step gets all attributes that were read, which of an index are not all."""


def migrated(table: str, raw: Raw, steps: Steps = STEPS, schema: int = SCHEMA) -> Raw:
    """The item in this release's shape; the same object where there is nothing to do.

    Raises NewerSchemaError for what a newer release wrote: nothing is guessed of it.
    """
    stored = raw.get(VERSION)
    version = 1 if stored is None else int(stored["N"])
    if version == schema:
        return raw
    if version > schema:
        raise NewerSchemaError(table, version, schema)
    for n in range(version, schema):
        step = steps.get(n, {}).get(table)
        if step is not None:
            raw = step(dict(raw))
    return {**raw, VERSION: {"N": str(schema)}}
