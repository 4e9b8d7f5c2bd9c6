"""The tick: put every rule that is due on the queue. It reads nothing else and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.usecases.requests import requests_for

if TYPE_CHECKING:
    from chalicelib.ports import Clock, RuleStatusStore, WorkQueue

PAGE = 1000


@dataclass(frozen=True, slots=True)
class TickReport:
    """What one tick found and sent."""

    due: int
    messages: int


@dataclass(slots=True)
class Tick:
    """Runs each minute. Losing one costs a minute, never correctness."""

    status: RuleStatusStore
    queue: WorkQueue
    clock: Clock

    def run(self) -> TickReport:
        """Send all due rules to the worker."""
        now = self.clock.now()
        due, messages = 0, 0
        cursor: str | None = None
        while True:
            page = self.status.due(now, PAGE, cursor)
            requests = requests_for(((rule.id, rule.place) for rule in page.items), "tick", now)
            if requests:
                self.queue.send(requests)
            due += len(page.items)
            messages += len(requests)
            cursor = page.next_cursor
            if cursor is None:
                return TickReport(due, messages)
