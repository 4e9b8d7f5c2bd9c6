"""Rules and schedules: as people change them, and as reconcile, wakes and overrides write them."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.resources import Place, ResourceRef
    from chalicelib.domain.rules import Claim, Override, Rule, RuleStatus
    from chalicelib.domain.schedules import Schedule
    from chalicelib.ports.basics import Idempotency, Page

NOBODY: Mapping[str, int] = MappingProxyType({})
"""No rule that a step stands on."""


NO_GRAPH: Mapping[str, int] = MappingProxyType({})
"""The graph of a rule that depends on nothing."""


class RuleRepository(Protocol):
    """Rules as people see and change them. Claims on hosts, ports and resources travel in the same transaction."""

    def create(
        self,
        rule: Rule,
        compact: str | None,
        idempotency: Idempotency | None = None,
        graph: Mapping[str, int] = NO_GRAPH,
    ) -> Rule:
        """Store a rule with its claims and, for a rule on a proxy, its compact form; move the proxy's rules version.

        `graph` has every rule that it depends on, also through others, with the version at which that was looked up:
        the order of dependencies was checked on these. Each rule that it depends on learns of its dependent.
        Answers the rule first stored under the same idempotency key, if there is one.
        Raises AlreadyClaimedError, ConflictError (same idempotency key, another fingerprint; what it refers to has
        changed), TooLargeError.
        """
        ...

    def get(self, rule_id: str) -> Rule:
        """Consistent read. Raises NotFoundError."""
        ...

    def get_many(self, rule_ids: Sequence[str]) -> dict[str, Rule]:
        """Consistent read, in batches of 100; unknown ids are left out."""
        ...

    def list(self, limit: int, cursor: str | None = None) -> Page[Rule]:
        """Every rule, in no order. Raises InvalidInputError for a cursor that is not ours."""
        ...

    def replace(self, before: Rule, after: Rule, compact: str | None, graph: Mapping[str, int] = NO_GRAPH) -> Rule:
        """Store `after.spec` if the stored version is still `before.version`; claims follow, status stays as stored.

        Its members stay (`domain.membership.carried_over`). The answer has the next version and revision, and is due at
        once. Raises VersionMismatchError, AlreadyClaimedError, NotFoundError, TooLargeError; ConflictError where
        resources joined or left meanwhile, and where the place changes while there are members.
        """
        ...

    def delete(self, rule: Rule) -> None:
        """Take away the rule, its claims and its compact form; with many members in pieces, the rule itself last.

        Raises ConflictError while a rule depends on it, VersionMismatchError, NotFoundError.
        """
        ...

    def owners(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, str]:
        """The rule that holds each of these resources; resources that nobody holds are left out."""
        ...


class ScheduleRepository(Protocol):
    """Schedules as people see and change them."""

    def create(self, schedule: Schedule, idempotency: Idempotency | None = None) -> Schedule:
        """Store it. Raises ConflictError (idempotency key reused for another body)."""
        ...

    def get(self, schedule_id: str) -> Schedule:
        """Consistent read. Raises NotFoundError."""
        ...

    def get_many(self, schedule_ids: Sequence[str]) -> dict[str, Schedule]:
        """Consistent read; unknown ids are left out."""
        ...

    def list(self, limit: int, cursor: str | None = None) -> Page[Schedule]:
        """Every schedule, in no order."""
        ...

    def replace(self, before: Schedule, after: Schedule) -> Schedule:
        """Raises VersionMismatchError, NotFoundError."""
        ...

    def delete(self, schedule: Schedule) -> None:
        """Raises ConflictError while a rule has it, VersionMismatchError, NotFoundError."""
        ...

    def rules_of(self, schedule_id: str) -> tuple[str, ...]:
        """The ids of the rules that have it. Raises NotFoundError."""
        ...


@dataclass(frozen=True, slots=True)
class DueRule:
    """A rule in the due index: what a message to the worker is grouped by."""

    id: str
    due_at: datetime
    place: Place


class RuleStatusStore(Protocol):
    """What reconcile, wakes and overrides write. Every write that can change a decision moves the revision."""

    def due(self, now: datetime, limit: int, cursor: str | None = None) -> Page[DueRule]:
        """Rules whose `due_at` has passed, oldest first, from the due index: nothing else is read."""
        ...

    def claim(self, rule: Rule, claim: Claim, status: RuleStatus, needs: Mapping[str, int] = NOBODY) -> Rule:
        """Store `status` with `claim` if the rule is still at `rule.revision`; due when the lease ends.

        `needs` are the rules that this step makes needed, with the revisions at which they were seen. They are moved to
        their next revision in the same transaction, so that no stop decided on them before can be claimed after it.
        A live claim of another attempt, or a changed revision, raises LostClaimError; a changed revision of one of
        `needs`, NeighbourChangedError.
        """
        ...

    def record(self, rule: Rule, status: RuleStatus, needs: Mapping[str, int] = NOBODY) -> Rule:
        """Store `status`, without claim, if the rule is still at `rule.revision`. Raises as `claim`.

        Moves the revision only if something other than `due_at`, `seen` and `observed_at` changed. `needs`: see
        `claim`.
        """
        ...

    def wake(self, rule_id: str, at: datetime, cause: str, not_after: datetime) -> Rule:
        """Write a traffic wake to the rule: `woken_at` is max-merged, the rule is due at `at`, the revision moves.

        If the rule was woken at or after `not_after` already, nothing is written (a burst costs one write).
        Answers the rule as it is then. Raises NotFoundError.
        """
        ...

    def set_override(self, rule: Rule, override: Override | None, due_at: datetime) -> Rule:
        """Set or take away the override at `rule.revision`. Raises LostClaimError, NotFoundError."""
        ...

    def make_due(self, rule_ids: Sequence[str], at: datetime) -> None:
        """Pull `due_at` of these rules forward to `at`, never back. Unknown ids are left out."""
        ...
