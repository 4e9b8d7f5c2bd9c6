"""What waits, as a test says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.ports.backlogs import Backlog

if TYPE_CHECKING:
    from chalicelib.domain.errors import CloudError


@dataclass(slots=True)
class FakeBacklogs:
    """Implements Backlogs."""

    backlog: Backlog = field(default_factory=lambda: Backlog(0, 0))
    failure: CloudError | None = None

    def now(self) -> Backlog:
        if self.failure is not None:
            raise self.failure
        return self.backlog
