"""Request units of DynamoDB, by the sizes of items. Pure.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Any, TypeAlias

Item: TypeAlias = dict[str, dict[str, Any]]
"""As on the wire: `{"id": {"S": "ru_1"}}`."""

WRITE, READ = 1024, 4096
"""Bytes of a unit."""


@dataclass(frozen=True, slots=True)
class Index:
    """A global secondary index: its keys, and what it has of an item beside them; None for everything."""

    keys: tuple[str, ...]
    carries: frozenset[str] | None

    def sees(self, item: Item | None) -> Item | None:
        """What the index has of an item; None for what is not in it."""
        if item is None or any(key not in item for key in self.keys):
            return None
        return {n: value for n, value in item.items() if self.carries is None or n in self.carries or n in self.keys}


def size_of(item: Item) -> int:
    """Bytes of an item as DynamoDB counts them."""
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def write_units(before: Item | None, after: Item | None, indexes: tuple[Index, ...] = ()) -> int:
    """Of one write. One whose condition does not hold is paid for as well, but changes no index."""
    units = max((_units(item, WRITE) for item in (before, after) if item is not None), default=1)
    return units + sum(_in_index(index.sees(before), index.sees(after), index) for index in indexes)


def read_units(operation: str, asked: dict[str, Any], answer: dict[str, Any]) -> float:
    """Of one read. Half where it is eventually consistent, twice in a transaction."""
    match operation:
        case "GetItem":
            return _units(answer.get("Item", {}), READ) * _factor(asked)
        case "Query" | "Scan":
            size = sum(size_of(item) for item in answer.get("Items", ()))
            return max(1, math.ceil(size / READ)) * _factor(asked)
        case "BatchGetItem":
            return sum(
                _factor(asked["RequestItems"][table]) * (sum(_units(item, READ) for item in items) or 1)
                for table, items in answer["Responses"].items()
            )
        case "TransactGetItems":
            return sum(2 * _units(one.get("Item", {}), READ) for one in answer["Responses"])
    raise ValueError(f"{operation} is none of the reads that are counted")


def _in_index(before: Item | None, after: Item | None, index: Index) -> int:
    if before == after:
        return 0
    if before is None or after is None:
        return _units(before or after or {}, WRITE)
    if any(before[key] != after[key] for key in index.keys):
        return _units(before, WRITE) + _units(after, WRITE)
    return max(_units(before, WRITE), _units(after, WRITE))


def _units(item: Item, of: int) -> int:
    return max(1, math.ceil(size_of(item) / of))


def _factor(asked: dict[str, Any]) -> float:
    return 1.0 if asked.get("ConsistentRead") else 0.5


def _size(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return math.ceil(len(content.lstrip("-").replace(".", "")) / 2) + 1
        case "B":
            return len(base64.b64decode(content))
        case "SS" | "NS" | "BS":
            return sum(_size({kind[0]: each}) for each in content)
        case "L":
            return 3 + sum(1 + _size(each) for each in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _size(each) for name, each in content.items())
    return 1  # a truth value, or null
