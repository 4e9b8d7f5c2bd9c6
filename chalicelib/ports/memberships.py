"""Rules and what their tags bring in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from chalicelib.domain.membership import TaggedRule
    from chalicelib.domain.rules import Rule
    from chalicelib.ports.basics import Page


class Memberships(Protocol):
    """What discovery reads and writes: of rules without tags it sees nothing."""

    def tagged(self, limit: int, cursor: str | None = None) -> Page[TaggedRule]:
        """Rules that have tags, or members from tags that they had, oldest first; from an index that may lag behind.

        Raises InvalidInputError for a cursor that is not ours.
        """
        ...

    def move(self, before: Rule, after: Rule, compact: str | None) -> Rule:
        """Store `after.membership` and `after.status` if the stored revision is still `before.revision`.

        Who joins is claimed and who leaves is released in the same transaction, at most `PIECE` (90) of both together;
        with `compact` the rule's form on its proxy is published too. Answers the rule, at its next revision.
        Raises LostClaimError, also for a rule that is gone; AlreadyClaimedError when another rule owns one that joins,
        NotFoundError when the load balancer is gone, TooLargeError. Whatever is raised, nothing is written.
        """
        ...
