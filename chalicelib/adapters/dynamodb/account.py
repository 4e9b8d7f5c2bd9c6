"""The account's settings, and the stops of the minute beside them: one item, so that one condition knows both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.errors import condition_failed, translated
from chalicelib.adapters.dynamodb.models import AccountItem
from chalicelib.domain.account import AccountSettings, minute_of
from chalicelib.domain.errors import VersionMismatchError

if TYPE_CHECKING:
    from datetime import datetime

    from pynamodb.expressions.condition import Condition
    from pynamodb.expressions.update import Action

ID = "settings"


class DynamoAccount:
    """Implements AccountStore."""

    def settings(self) -> AccountSettings:
        with translated():
            try:
                item = AccountItem.get(ID, consistent_read=True)
            except AccountItem.DoesNotExist:
                return AccountSettings()
        if item.body is None:  # stops were counted before anybody set anything
            return AccountSettings()
        return replace(load(AccountSettings, item.body), version=int(item.version or 0))

    def put(self, before: AccountSettings, after: AccountSettings) -> AccountSettings:
        new = replace(after, version=before.version + 1)
        as_read = AccountItem.version == before.version if before.version else AccountItem.version.does_not_exist()
        written = self._update(
            [
                AccountItem.body.set(dump(new)),
                AccountItem.version.set(new.version),
                AccountItem.paused.set(int(new.paused)),
            ],
            as_read,
        )
        if not written:
            raise VersionMismatchError(f"The account is at version {self.settings().version}, not {before.version}.")
        return new

    def begin_stops(self, count: int, limit: int | None, now: datetime) -> bool:
        if limit is None:
            return not self.settings().paused
        minute = minute_of(now)
        not_paused = AccountItem.paused.does_not_exist() | (AccountItem.paused == 0)
        room = (AccountItem.minute == minute) & (AccountItem.begun <= limit - count)
        more: list[Action] = [AccountItem.begun.set(AccountItem.begun + count)]
        if self._update(more, not_paused & room):
            return True
        # The first of a minute may be larger than the limit: otherwise a rule of so many resources never stops.
        fresh = AccountItem.minute.does_not_exist() | (AccountItem.minute < minute)
        if self._update([AccountItem.minute.set(minute), AccountItem.begun.set(count)], not_paused & fresh):
            return True
        # Somebody else's may have been the first of this minute since we looked.
        return self._update(more, not_paused & room)

    def _update(self, actions: list[Action], condition: Condition) -> bool:
        """Whether the condition held, and so it was written."""
        with translated():
            try:
                AccountItem(ID).update(actions=actions, condition=condition)
            except PynamoDBException as error:
                if condition_failed(error):
                    return False
                raise
        return True
