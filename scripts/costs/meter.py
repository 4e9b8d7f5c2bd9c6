"""Counts what is paid for: request units at the wire to DynamoDB, and everything around the functions."""

from __future__ import annotations

import json
import math
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from moto.core.models import botocore_stubber
from moto.dynamodb.models import dynamodb_backends

from scripts.costs import assumptions
from scripts.costs.prices import REGION, Quantity
from scripts.costs.units import Index, read_units, size_of, write_units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from scripts.benches.handlers import Handler
    from scripts.costs.units import Item

ACCOUNT = "123456789012"
"""Moto's."""

TABLES = frozenset({"CreateTable", "DescribeTable", "UpdateTimeToLive"})
"""What is paid by nobody."""


class Meter:
    """Everything counted since `reset`. `now` is the virtual time."""

    def __init__(self, now: Callable[[], datetime], functions: dict[str, Handler]) -> None:
        self._now, self._functions = now, functions
        self.counted: defaultdict[Quantity, float] = defaultdict(float)
        self.invocations: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._waited = self._elsewhere = 0.0
        self._last: dict[str, datetime] = {}
        self._this_second: dict[str, datetime] = {}
        self._indexes: dict[str, tuple[Index, ...]] = {}

    def reset(self) -> None:
        """Count from now on; which functions are warm stays known."""
        self.counted.clear()
        self.seconds.clear()
        self.invocations.clear()
        self.calls.clear()

    @contextmanager
    def invocation(self, function: str, *, sampled: float | None = None) -> Iterator[None]:
        """One run of a function: what it does inside is waited for, and all of it is paid by its memory.

        `sampled`: of so much of its runs somebody before it decides that they are traced; None: Lambda decides.
        """
        self._waited = self._elsewhere = 0.0
        began = time.process_time()
        yield
        memory, now = self._functions[function].memory_mb, self._now()
        cpu = max(time.process_time() - began - self._elsewhere, 0.0) * max(1.0, assumptions.VCPU_MB / memory)
        last = self._last.get(function)
        cold = last is None or now - last > assumptions.COLD_AFTER
        seconds = assumptions.OVERHEAD + cpu + self._waited + (assumptions.COLD if cold else 0.0)
        self._last[function] = now
        self.invocations[function] += 1
        self.seconds[function] += seconds
        self.counted[Quantity.LAMBDA_REQUESTS] += 1
        self.counted[Quantity.LAMBDA_SECONDS] += seconds * memory / 1024
        self.counted[Quantity.LOGS] += assumptions.PLATFORM_LOG + 3 * assumptions.LOG_EVENT
        second = now.replace(microsecond=0)
        first = self._this_second.get(function) != second
        self._this_second[function] = second
        if self._functions[function].traced:
            usual = 1.0 if first else assumptions.TRACED_ABOVE
            self.counted[Quantity.TRACES] += usual if sampled is None else sampled

    def logged(self, text: str) -> None:
        """A line of a function's log."""
        self.counted[Quantity.LOGS] += len(text.encode()) + assumptions.LOG_EVENT

    def waited(self, service: str, calls: int = 1) -> None:
        """A function asked AWS for something."""
        self.calls[service] += calls
        self._waited += assumptions.LATENCY[service] * calls

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """What happens inside is not the function's work: it is what stands for AWS."""
        began = time.process_time()
        try:
            yield
        finally:
            self._elsewhere += time.process_time() - began

    # DynamoDB

    def play(self, event_name: str, request: Any, **more: Any) -> Any:  # noqa: ANN401  (botocore's)
        """Moto's answer to a request, its units counted; in the place of moto's own handler."""
        with self.elsewhere():
            target = request.headers.get("X-Amz-Target", b"")
            target = target.decode() if isinstance(target, bytes) else str(target)
            if not target.startswith("DynamoDB_"):
                return botocore_stubber(event_name, request, **more)
            operation, asked = target.partition(".")[2], json.loads(request.body)
            before = [(table, key, self._item(table, key)) for table, key in written(operation, asked)]
            answer: Any = botocore_stubber(event_name, request, **more)
            self.waited("dynamodb")
            if operation in TABLES:
                return answer
            if before:
                twice = 2 if operation == "TransactWriteItems" else 1
                for table, key, old in before:
                    units = write_units(old, self._item(table, key), self._of(table))
                    self.counted[Quantity.DYNAMODB_WRITES] += twice * units
            elif answer.status_code == 200:  # noqa: PLR2004
                body = json.loads(answer.content)
                self.counted[Quantity.DYNAMODB_READS] += read_units(operation, asked, body)
            return answer

    def stored(self) -> int:
        """Bytes in all tables and indexes, with the 100 that AWS adds to each item."""
        total = 0
        for name, table in dynamodb_backends[ACCOUNT][REGION].tables.items():
            for stored in table.all_items():
                item = stored.to_json()["Attributes"]
                total += size_of(item) + 100
                total += sum(size_of(seen) + 100 for index in self._of(name) if (seen := index.sees(item)))
        return total

    def _item(self, table: str, key: Item) -> Item | None:
        found = dynamodb_backends[ACCOUNT][REGION].get_item(table, key)
        return None if found is None else found.to_json()["Attributes"]

    def _of(self, name: str) -> tuple[Index, ...]:
        if name not in self._indexes:
            table = dynamodb_backends[ACCOUNT][REGION].get_table(name)
            own = tuple(key["AttributeName"] for key in table.schema)
            self._indexes[name] = tuple(
                Index(
                    tuple(key["AttributeName"] for key in index.schema),
                    None
                    if index.projection["ProjectionType"] == "ALL"
                    else frozenset((*index.projection.get("NonKeyAttributes", ()), *own)),
                )
                for index in table.global_indexes
            )
        return self._indexes[name]


def written(operation: str, asked: dict[str, Any]) -> list[tuple[str, Item]]:
    """Table and key of each item that a request writes, or holds a condition against in a transaction."""
    match operation:
        case "PutItem":
            return [_put(asked)]
        case "UpdateItem" | "DeleteItem":
            return [(asked["TableName"], asked["Key"])]
        case "TransactWriteItems":
            acts = [next(iter(act.items())) for act in asked["TransactItems"]]
            return [_put(of) if kind == "Put" else (of["TableName"], of["Key"]) for kind, of in acts]
        case "BatchWriteItem":
            found: list[tuple[str, Item]] = []
            for table, requests in asked["RequestItems"].items():
                for one in requests:
                    item = one["PutRequest"]["Item"] if "PutRequest" in one else one["DeleteRequest"]["Key"]
                    found.append(_put({"TableName": table, "Item": item}))
            return found
    return []


def _put(asked: dict[str, Any]) -> tuple[str, Item]:
    table = dynamodb_backends[ACCOUNT][REGION].get_table(asked["TableName"])
    return asked["TableName"], {key["AttributeName"]: asked["Item"][key["AttributeName"]] for key in table.schema}


class Outside:
    """Something of AWS that an adapter in memory stands for: its calls are waited for, its work is not ours.

    `calls` says how many calls of AWS one of the method's is.
    """

    def __init__(self, inner: Any, meter: Meter, service: str, counted: Callable[[str, tuple[Any, ...]], int]) -> None:  # noqa: ANN401
        self._inner, self._meter, self._service, self._counted = inner, meter, service, counted

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the port has)
        method = getattr(self._inner, name)

        def call(*args: Any, **settings: Any) -> Any:  # noqa: ANN401
            self._meter.waited(self._service, self._counted(name, args))
            with self._meter.elsewhere():
                return method(*args, **settings)

        return call


def batches(size: int) -> Callable[[str, tuple[Any, ...]], int]:
    """One call for each so many of the first argument."""
    return lambda _, args: max(1, math.ceil(len(args[0]) / size)) if args and hasattr(args[0], "__len__") else 1
