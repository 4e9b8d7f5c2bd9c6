"""The format of an export: a header, an item a line as DynamoDB has it, and a trailer that counts them.

    {"autostop": "tables", "format": 1, "schema": 1, "version": "X.Y.Z", "stage": "dev", "exported_at": "…Z"}
    {"table": "rules", "item": {"id": {"S": "ru_…"}, "spec": {"S": "{…}"}, "due_at": {"N": "1764000000000000"}}}
    {"end": {"rules": 1}}

Numbers stay the text that DynamoDB keeps them as, so none loses a digit. Without its trailer a file is truncated.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.dynamodb.models import ALL_MODELS, SHORT_NAMES
from chalicelib.adapters.dynamodb.schema import SCHEMA, VERSION
from scripts.tables.errors import UnreadableExportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMAT = 1
TABLES = tuple(SHORT_NAMES[model] for model in ALL_MODELS)
KEYS: dict[str, tuple[str, ...]] = {
    SHORT_NAMES[model]: tuple(a.attr_name for a in model.get_attributes().values() if a.is_hash_key or a.is_range_key)
    for model in ALL_MODELS
}
"""The key attributes of each table, the hash key first or last."""
MOST_FAULTS = 20
TYPES = frozenset({"S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"})


@dataclass(slots=True)
class Checked:
    """What a first pass over a file found. It can be loaded if it has no `faults`."""

    header: dict[str, Any] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def raise_for_faults(self) -> None:
        """Raises UnreadableExportError with all of them."""
        if self.faults:
            more = len(self.faults) - MOST_FAULTS
            words = "\n".join(f"  {fault}" for fault in self.faults[:MOST_FAULTS])
            raise UnreadableExportError(f"Nothing was written.\n{words}" + (f"\n  and {more} more" if more > 0 else ""))


def header(version: str, stage: str, at: str) -> dict[str, Any]:
    """The first line."""
    told = {"format": FORMAT, "schema": SCHEMA, "version": version, "stage": stage, "exported_at": at}
    return {"autostop": "tables", **told}


def check(lines: Iterable[str]) -> Checked:
    """Go over a whole file. It raises nothing: what is wrong is in the faults, with the number of its line."""
    found = Checked()
    ended: dict[str, int] | None = None
    for number, line in enumerate(lines, 1):
        where = f"line {number}: "
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            found.faults.append(f"{where}is not JSON")
            continue
        if number == 1:
            found.header = data if isinstance(data, dict) else {}
            found.faults += [where + fault for fault in _header_faults(data)]
        elif ended is not None:
            found.faults.append(f"{where}comes after the end")
        elif isinstance(data, dict) and isinstance(data.get("end"), dict):
            ended = data["end"]
        else:
            faults = list(_item_faults(data))
            found.faults += [where + fault for fault in faults]
            if not faults:
                found.counts[data["table"]] += 1
    if not found.header:
        found.faults.insert(0, "it is empty")
    elif ended is None:
        found.faults.append("its end is missing: it is truncated")
    elif ended != dict(found.counts) and not found.faults:
        found.faults.append(f"it ends with {ended}, and has {dict(found.counts)}: lines are missing")
    return found


def items(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The items of a file that was checked: table and attributes."""
    for line in lines:
        data = json.loads(line)
        if "table" in data:
            yield data["table"], data["item"]


def _header_faults(data: object) -> Iterator[str]:
    if not isinstance(data, dict) or data.get("autostop") != "tables":
        yield "is not the header of an export of AutoStop's tables"
        return
    if data.get("format") != FORMAT:
        yield f"has format {data.get('format')!r}; this release reads {FORMAT}"
    schema = data.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA:
        yield f"has schema {schema!r}; this release knows {SCHEMA}: use the release that wrote it, or a later one"


def _item_faults(data: object) -> Iterator[str]:
    if not isinstance(data, dict) or data.keys() != {"table", "item"} or not isinstance(data["item"], dict):
        yield "is neither an item nor the end"
        return
    table, item = data["table"], data["item"]
    if table not in KEYS:
        yield f"is of a table {table!r} that this release does not have"
        return
    for name, value in item.items():
        if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= TYPES:
            yield f"has {name} in no form of DynamoDB's"
    missing = [key for key in KEYS[table] if key not in item]
    if missing:
        yield f"lacks {', '.join(missing)}, the key of {table}"
    version = item.get(VERSION, {"N": "1"})
    text = version.get("N") if isinstance(version, dict) else None
    if not isinstance(text, str) or not text.isdigit() or int(text) > SCHEMA:
        yield f"has schema {text!r}; this release knows {SCHEMA}"
