"""What waits in the stage's queues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Backlog:
    """About how many messages wait for the worker, and how many nobody could take in."""

    waiting: int
    dead: int


class Backlogs(Protocol):
    """Two calls of SQS."""

    def now(self) -> Backlog:
        """As SQS counts, which is approximate. Raises CloudError."""
        ...
