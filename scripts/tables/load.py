"""An export, put back into the tables of a stage."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.tables.errors import NotEmptyError
from scripts.tables.lines import KEYS, TABLES, Checked, check, items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mypy_boto3_dynamodb import DynamoDBClient

    Raw = Mapping[str, Any]

BATCH = 25
"""Items of one BatchWriteItem. https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html"""
MARK = {"id": {"S": "import"}}
"""In the table `account` while an import goes on: which file it is, so that the same one can be taken up again."""
LONGEST_PAUSE = 10.0


@dataclass(slots=True)
class Loader:
    """Loads files into one stage."""

    client: DynamoDBClient
    stage: str
    sleep: Callable[[float], None] = time.sleep

    def load(self, path: Path, *, replace: bool = False) -> Checked:
        """Put a file's items in; answers what they were.

        The file is checked as a whole first. The tables must be empty, or `replace` takes away what is in them. An
        import that was interrupted is taken up by the same file again. Raises UnreadableExportError, NotEmptyError.
        """
        with path.open(encoding="utf-8") as lines:
            checked = check(lines)
        checked.raise_for_faults()
        digest = _digest(path)
        if not self._goes_on(digest):
            if not replace:
                self._want_empty()
            self.client.put_item(TableName=self._name("account"), Item={**MARK, "body": {"S": digest}})
        if replace:
            self._clear()
        with path.open(encoding="utf-8") as lines:
            for table, batch in _batches(items(lines)):
                self._write(table, [{"PutRequest": {"Item": item}} for item in batch])
        self.client.delete_item(TableName=self._name("account"), Key=MARK)
        return checked

    def _goes_on(self, digest: str) -> bool:
        found = self.client.get_item(TableName=self._name("account"), Key=MARK, ConsistentRead=True).get("Item")
        return found is not None and found.get("body") == {"S": digest}

    def _want_empty(self) -> None:
        full = [
            table
            for table in TABLES
            if self.client.scan(TableName=self._name(table), Limit=1, ConsistentRead=True)["Items"]
        ]
        if full:
            raise NotEmptyError(
                f"Nothing was written: {', '.join(full)} of stage {self.stage} have items. Import into a new stage, or "
                "give --replace, which takes away everything that is there first (export it before)."
            )

    def _has_any(self, table: str) -> bool:
        return bool(self.client.scan(TableName=self._name(table), Limit=1, ConsistentRead=True)["Items"])

    def _clear(self) -> None:
        """All items but the mark."""
        for table in TABLES:
            names = {f"#{n}": key for n, key in enumerate(KEYS[table])}
            pages = self.client.get_paginator("scan").paginate(
                TableName=self._name(table), ProjectionExpression=", ".join(names), ExpressionAttributeNames=names
            )
            for page in pages:
                keys = [key for key in page["Items"] if not (table == "account" and key == MARK)]
                for start in range(0, len(keys), BATCH):
                    self._write(table, [{"DeleteRequest": {"Key": key}} for key in keys[start : start + BATCH]])

    def _write(self, table: str, requests: Sequence[Any]) -> None:
        """Until DynamoDB has taken them all: it may hand some back when it is asked for much."""
        left: Mapping[str, Any] = {self._name(table): list(requests)}
        pause = 0.05
        while left:
            left = self.client.batch_write_item(RequestItems=left).get("UnprocessedItems", {})
            if left:
                self.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _name(self, table: str) -> str:
        return f"autostop-{self.stage}-{table}"


def _batches(found: Iterator[tuple[str, Raw]]) -> Iterator[tuple[str, list[Raw]]]:
    batch: list[Raw] = []
    current = ""
    for table, item in found:
        if batch and (table != current or len(batch) == BATCH):
            yield current, batch
            batch = []
        current = table
        batch.append(item)
    if batch:
        yield current, batch


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
