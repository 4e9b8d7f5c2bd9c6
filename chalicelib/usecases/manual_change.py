"""CloudTrail tells who started or stopped a resource by hand: it goes into the history of the rule that has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.events import Event, EventKind

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.resources import ResourceRef
    from chalicelib.ports import Clock, EventLog, RuleRepository

OUR_ROLES = "autostop-"
"""What the names of AutoStop's own roles begin with: what these do is in the history already."""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A call to AWS as CloudTrail recorded it. `issuer` is the name of the role behind a session, if it is one."""

    id: str
    action: str
    refs: tuple[ResourceRef, ...]
    principal: str
    issuer: str | None
    address: str | None
    at: datetime
    error: str | None = None


@dataclass(slots=True)
class ManualChange:
    """Nothing is decided here: what was changed is recognised by looking, whether CloudTrail tells or not."""

    rules: RuleRepository
    events: EventLog
    clock: Clock

    def run(self, call: ApiCall) -> int:
        """Tell the rules that hold these resources; answers how many there are. Told twice, it is one event."""
        if call.issuer is not None and call.issuer.startswith(OUR_ROLES):
            return 0
        by_rule: dict[str, list[str]] = {}
        for ref, owner in self.rules.owners(call.refs).items():
            by_rule.setdefault(owner, []).append(ref.id)
        at = min(call.at, self.clock.now())
        events = [
            Event(
                f"ev_{call.id.replace('-', '')}_{rule_id}",
                at,
                EventKind.CHANGED_BY_HAND,
                rule_id,
                f"principal {call.principal}",
                _words(call, ids),
            )
            for rule_id, ids in sorted(by_rule.items())
        ]
        if events:
            self.events.append(events)
        return len(events)


def _words(call: ApiCall, ids: list[str]) -> str:
    words = f"{call.principal} called {call.action} for {', '.join(sorted(ids))}"
    if call.address is not None:
        words += f" from {call.address}"
    return f"{words}; AWS refused: {call.error}." if call.error else f"{words}."
