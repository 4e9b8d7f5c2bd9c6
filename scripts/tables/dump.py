"""All items of a stage's tables, as lines."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from chalicelib import __version__
from scripts.tables.lines import TABLES, header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient


def export(client: DynamoDBClient, stage: str, now: datetime) -> Iterator[str]:
    """Lines with their ends, page after page: the whole is never in memory.

    Each table is read consistently, the tables one after another: what changes meanwhile may be in one and not in
    another. For a copy of one moment, pause the stops (`PUT /account`) and change nothing, or use point-in-time
    recovery.
    """
    yield _line(header(__version__, stage, now.isoformat(timespec="seconds").replace("+00:00", "Z")))
    counts: Counter[str] = Counter()
    for table in TABLES:
        name = f"autostop-{stage}-{table}"
        for page in client.get_paginator("scan").paginate(TableName=name, ConsistentRead=True):
            for item in page["Items"]:
                counts[table] += 1
                yield _line({"table": table, "item": item})
    yield _line({"end": dict(counts)})


def _line(content: object) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False) + "\n"
