"""What savings are counted from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import date

    from chalicelib.domain.account_days import AccountDay
    from chalicelib.domain.usage_days import UsageDay
    from chalicelib.ports.basics import Page


class UsageRecords(Protocol):
    """One record for each rule and UTC day, and beside it one of what would have been; kept for 400 days."""

    def of_rule(self, rule_id: str, first: date, last: date) -> tuple[UsageDay, ...]:
        """A rule's records of these days, both included and of both kinds, oldest first. Consistent read, one query."""
        ...

    def save(self, record: UsageDay) -> UsageDay:
        """Store it if the one stored is still at `record.version`, 0 for none; answers it at its next version.

        Raises VersionMismatchError.
        """
        ...

    def of_day(self, day: date, limit: int, cursor: str | None = None, *, dry_run: bool) -> Page[UsageDay]:
        """Every rule's record of one day and kind, in no order; those written in the last second may be missing.

        Raises InvalidInputError for a cursor that is not of this list.
        """
        ...

    def totals(self, first: date, last: date) -> tuple[AccountDay, ...]:
        """The totals kept of these days, both included and of both kinds, oldest first."""
        ...

    def keep_total(self, total: AccountDay) -> None:
        """Keep the total of a day that is over; if there is one already, that one stays."""
        ...
