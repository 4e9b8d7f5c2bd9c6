"""The switches of the whole account, as people set them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.domain.errors import VersionMismatchError
from chalicelib.domain.events import Event, EventKind

if TYPE_CHECKING:
    from chalicelib.domain.account import AccountSettings
    from chalicelib.ports import AccountStore, Clock, EventLog, Ids

SUBJECT = "account"


@dataclass(slots=True)
class ManageAccount:
    """Read and change. What is paused or let go is seen by every look from then on."""

    account: AccountStore
    events: EventLog
    clock: Clock
    ids: Ids

    def get(self) -> AccountSettings:
        """The settings, or their defaults."""
        return self.account.settings()

    def replace(self, wanted: AccountSettings, by: str, version: int | None = None) -> AccountSettings:
        """Raises VersionMismatchError when `version` is not the stored one, or somebody else wrote meanwhile."""
        before = self.account.settings()
        if version is not None and version != before.version:
            raise VersionMismatchError(f"The account is at version {before.version}, not {version}.")
        now = self.clock.now()
        after = self.account.put(before, replace(wanted, changed_by=by, changed_at=now))
        event = Event(self.ids.new("ev"), now, EventKind.ACCOUNT_CHANGED, SUBJECT, f"key {by}", _words(before, after))
        self.events.append([event])
        return after


def _words(before: AccountSettings, after: AccountSettings) -> str:
    limit = after.max_stops_per_tick
    words = f"{'Any number of' if limit is None else f'At most {limit}'} resources may begin to be stopped in a minute."
    if after.paused and not before.paused:
        why = f" ({after.pause_reason})" if after.pause_reason else ""
        return f"AutoStop was paused: nothing is stopped{why}. {words}"
    if before.paused and not after.paused:
        return f"The pause of AutoStop was ended. {words}"
    return words
