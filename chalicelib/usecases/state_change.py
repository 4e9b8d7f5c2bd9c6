"""AWS says that a resource changed its state: have a look now instead of at the next tick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.usecases.requests import RESTARTED_BY_AWS, requests_for

if TYPE_CHECKING:
    from chalicelib.domain.resources import ResourceRef
    from chalicelib.ports import Clock, RuleRepository, RuleStatusStore, WorkQueue


@dataclass(slots=True)
class StateChange:
    """An accelerator: idempotent, and of no consequence when it is lost."""

    rules: RuleRepository
    status: RuleStatusStore
    queue: WorkQueue
    clock: Clock

    def run(self, refs: tuple[ResourceRef, ...], *, by_aws: bool = False) -> int:
        """Make the rules that hold these resources due; answers how many there are.

        `by_aws`: AWS says that it starts them because they have been stopped for seven days.
        """
        owners = self.rules.owners(refs)
        if not owners:
            return 0
        now = self.clock.now()
        self.status.make_due(sorted(set(owners.values())), now)
        wanted = {(owner, ref.place) for ref, owner in owners.items()}
        self.queue.send(requests_for(sorted(wanted), RESTARTED_BY_AWS if by_aws else "state change", now))
        return len(set(owners.values()))
