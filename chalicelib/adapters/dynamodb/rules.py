"""Rules as people change them: the rule, its claims and its compact form in one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from pynamodb.exceptions import TransactWriteError

from chalicelib.adapters.dynamodb.codec import dump
from chalicelib.adapters.dynamodb.cursors import decode, encode
from chalicelib.adapters.dynamodb.errors import failed_conditions, no_condition, translated
from chalicelib.adapters.dynamodb.idempotency import answered, remember
from chalicelib.adapters.dynamodb.members import DynamoMemberships
from chalicelib.adapters.dynamodb.models import DUE, ClaimItem, ProxyItem, RuleItem
from chalicelib.adapters.dynamodb.rule_items import from_item, set_connector, set_membership, to_item, with_membership
from chalicelib.adapters.dynamodb.rule_parts import give_back, is_free, link, others, publish, take, withdraw
from chalicelib.adapters.dynamodb.times import micros
from chalicelib.adapters.dynamodb.transactions import transaction
from chalicelib.domain.claims import (
    CHANGED_MEANWHILE,
    MAX_CLAIMS,
    MOVED_MEANWHILE,
    TOO_MANY,
    Links,
    links,
    owned,
    owned_members,
    resource_key,
    shared_ports,
)
from chalicelib.domain.errors import (
    AlreadyClaimedError,
    ConflictError,
    NotFoundError,
    TooLargeError,
    VersionMismatchError,
)
from chalicelib.domain.load_balancers import MAX_RULES_PER_PROXY
from chalicelib.domain.membership import carried_over
from chalicelib.ports import NO_GRAPH, Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chalicelib.domain.claims import OwnedThing
    from chalicelib.domain.resources import ResourceRef
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import Clock, Idempotency


DELETE_TRIES = 5
"""Looks at a rule on its way out: resources that join or leave it meanwhile must not keep it."""

ACTIONS = 100
"""Actions that a transaction takes.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""


class DynamoRules:
    """Implements RuleRepository."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._memberships = DynamoMemberships(clock)

    def create(
        self,
        rule: Rule,
        compact: str | None,
        idempotency: Idempotency | None = None,
        graph: Mapping[str, int] = NO_GRAPH,
    ) -> Rule:
        now = self._clock.now()
        if (known := answered("rule", idempotency, now)) is not None:
            return self.get(known)
        owns, shares = self._wanted(rule)
        try:
            with translated(), transaction(RuleItem) as write:
                write.save(to_item(rule), condition=RuleItem.id.does_not_exist())
                take(write, rule.id, owns, shares)
                link(write, rule.id, Links(), links(rule.spec), graph)
                publish(write, rule, compact, more=1)
                remember(write, "rule", rule.id, idempotency, now)
        except TransactWriteError as error:
            if (known := answered("rule", idempotency, now)) is not None:
                return self.get(known)
            self._explain(error, None, rule, owns, shares)
        return rule

    def get(self, rule_id: str) -> Rule:
        with translated():
            try:
                return from_item(RuleItem.get(rule_id, consistent_read=True))
            except RuleItem.DoesNotExist:
                raise NotFoundError("rule", rule_id) from None

    def get_many(self, rule_ids: Sequence[str]) -> dict[str, Rule]:
        with translated():
            unique = list(dict.fromkeys(rule_ids))
            return {item.id: from_item(item) for item in RuleItem.batch_get(unique, consistent_read=True)}

    def list(self, limit: int, cursor: str | None = None) -> Page[Rule]:
        with translated():
            found = RuleItem.scan(limit=limit, last_evaluated_key=decode(cursor))
            rules = tuple(from_item(item) for item in found)
            return Page(rules, encode(found.last_evaluated_key))

    def replace(self, before: Rule, after: Rule, compact: str | None, graph: Mapping[str, int] = NO_GRAPH) -> Rule:
        stored = self._unchanged(before)
        if stored.membership != before.membership or (stored.members and after.spec.place != stored.spec.place):
            raise ConflictError(MOVED_MEANWHILE)
        now = self._clock.now()
        new = replace(
            stored,
            spec=after.spec,
            status=replace(stored.status, due_at=now),
            version=stored.version + 1,
            revision=stored.revision + 1,
            updated_at=now,
            membership=carried_over(stored, after.spec),
        )
        owns, shares = self._wanted(new)
        given_back = [thing for thing in owned(stored.spec) if thing not in owns]
        newly_owned = [thing for thing in owns if thing not in owned(stored.spec)]
        newly_shared = [thing for thing in shares if thing not in shared_ports(stored.spec)]
        released = [thing for thing in shared_ports(stored.spec) if thing not in shares]
        moved = stored.spec.load_balancer_id != new.spec.load_balancer_id
        old_links, new_links = links(stored.spec), links(new.spec)
        relinked = len(old_links.rules ^ new_links.rules) + len(old_links.schedules ^ new_links.schedules)
        changes = len(newly_owned) + len(newly_shared) + len(given_back) + len(released) + relinked
        if changes > MAX_CLAIMS:
            raise TooLargeError(f"{TOO_MANY.format(changes)} What a change takes and gives back counts together.")
        try:
            with translated(), transaction(RuleItem) as write:
                write.update(
                    RuleItem(new.id),
                    actions=[
                        RuleItem.spec.set(dump(new.spec)),
                        RuleItem.kind.set(new.spec.kind.value),
                        RuleItem.region.set(new.spec.region),
                        set_connector(new.spec.connector),
                        RuleItem.version.set(new.version),
                        RuleItem.revision.set(RuleItem.revision + 1),
                        RuleItem.due_at.set(micros(now)),
                        RuleItem.due_shard.set(DUE),
                        RuleItem.updated_at.set(micros(now)),
                        *set_membership(new),
                    ],
                    condition=(RuleItem.version == stored.version) & with_membership(stored),
                )
                take(write, new.id, newly_owned, newly_shared)
                give_back(
                    write, new.id, others(given_back, newly_shared), others(released, [*newly_owned, *newly_shared])
                )
                link(write, new.id, old_links, new_links, graph)
                if moved:
                    withdraw(write, stored)
                publish(write, new, compact, more=1 if moved else 0)
        except TransactWriteError as error:
            self._explain(error, stored, new, newly_owned, newly_shared)
        return self.get(new.id)

    def delete(self, rule: Rule) -> None:
        for _ in range(DELETE_TRIES):
            stored = self._unchanged(rule)
            if stored.dependents:
                break
            owns, shares, linked = owned(stored.spec), shared_ports(stored.spec), links(stored.spec)
            stored = self._memberships.shed(stored, down_to=ACTIONS - len(owns) - len(shares) - len(linked) - 4)
            try:
                with translated(), transaction(RuleItem) as write:
                    alone = RuleItem.dependents.does_not_exist() & with_membership(stored)
                    write.delete(RuleItem(rule.id), condition=(RuleItem.version == rule.version) & alone)
                    give_back(write, rule.id, (*owns, *owned_members(stored.spec, stored.members)), shares)
                    link(write, rule.id, linked, Links(), {})
                    withdraw(write, stored)
            except TransactWriteError as error:
                newer = self._unchanged(rule)
                if newer.dependents == stored.dependents and newer.membership == stored.membership:
                    self._explain(error, rule, rule, (), ())
            else:
                return
        if dependents := self._unchanged(rule).dependents:
            raise ConflictError(f"Rules depend on {rule.id}: {', '.join(dependents)}.")
        raise ConflictError(MOVED_MEANWHILE)

    def owners(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, str]:
        keys = {resource_key(ref): ref for ref in refs}
        with translated():
            return {keys[item.key]: item.owner for item in ClaimItem.batch_get(list(keys), consistent_read=True)}

    # Below

    def _wanted(self, rule: Rule) -> tuple[tuple[OwnedThing, ...], tuple[OwnedThing, ...]]:
        owns, shares = owned(rule.spec), shared_ports(rule.spec)
        count = len(owns) + len(shares) + len(links(rule.spec))
        if count > MAX_CLAIMS:
            raise TooLargeError(TOO_MANY.format(count))
        return owns, shares

    def _explain(
        self,
        error: TransactWriteError,
        before: Rule | None,
        after: Rule,
        owns: Sequence[OwnedThing],
        shares: Sequence[OwnedThing],
    ) -> NoReturn:
        """Say which condition of a transaction did not hold, by looking at what is stored now."""
        if failed_conditions(error) is None:
            raise no_condition(error) from error
        if before is not None:
            self._unchanged(before)
        taken = self._taken(after.id, owns, shares)
        if taken:
            raise AlreadyClaimedError(taken) from error
        balancer = after.spec.load_balancer_id
        if balancer is not None and (before is None or before.spec.load_balancer_id != balancer):
            with translated():
                try:
                    poll = ProxyItem.get(balancer, "poll", consistent_read=True)
                except ProxyItem.DoesNotExist:
                    raise NotFoundError("load balancer", balancer) from None
            if int(poll.rules or 0) >= MAX_RULES_PER_PROXY:
                raise TooLargeError(f"A proxy carries at most {MAX_RULES_PER_PROXY} rules.") from error
        raise ConflictError(CHANGED_MEANWHILE) from error

    def _unchanged(self, read: Rule) -> Rule:
        """The rule as stored. Raises VersionMismatchError where it is no longer at the version read, NotFoundError."""
        stored = self.get(read.id)
        if stored.version != read.version:
            raise VersionMismatchError(f"Rule {read.id} is at version {stored.version}, not {read.version}.")
        return stored

    def _taken(self, rule_id: str, owns: Sequence[OwnedThing], shares: Sequence[OwnedThing]) -> dict[str, str]:
        allowed = {thing.key: rule_id for thing in owns} | {thing.key: thing.shared_as for thing in shares}
        words = {thing.key: thing.words for thing in (*owns, *shares)}
        with translated():
            found = list(ClaimItem.batch_get(list(allowed), consistent_read=True)) if allowed else []
        return {words[i.key]: i.owner for i in found if i.owner != allowed[i.key] and not is_free(i, rule_id)}
