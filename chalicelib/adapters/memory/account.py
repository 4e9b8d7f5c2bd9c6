"""The account's settings in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.domain.account import AccountSettings, minute_of
from chalicelib.domain.errors import VersionMismatchError

if TYPE_CHECKING:
    from datetime import datetime


class MemoryAccount:
    """Implements AccountStore."""

    def __init__(self) -> None:
        self._settings = AccountSettings()
        self._minute = self._begun = 0

    def settings(self) -> AccountSettings:
        return self._settings

    def put(self, before: AccountSettings, after: AccountSettings) -> AccountSettings:
        if before.version != self._settings.version:
            raise VersionMismatchError(f"The account is at version {self._settings.version}, not {before.version}.")
        self._settings = replace(after, version=before.version + 1)
        return self._settings

    def begin_stops(self, count: int, limit: int | None, now: datetime) -> bool:
        if self._settings.paused:
            return False
        minute = minute_of(now)
        if limit is None:
            return True
        if minute > self._minute:
            self._minute, self._begun = minute, count
            return True
        if minute < self._minute or self._begun + count > limit:
            return False
        self._begun += count
        return True
