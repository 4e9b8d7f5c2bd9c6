"""Rules as people change them: the rule, its claims and its compact form in one transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pynamodb.connection import Connection
from pynamodb.exceptions import TransactWriteError
from pynamodb.transactions import TransactWrite

from chalicelib.adapters.dynamodb.codec import dump
from chalicelib.adapters.dynamodb.cursors import decode, encode
from chalicelib.adapters.dynamodb.errors import failed_conditions, is_conflict, translated
from chalicelib.adapters.dynamodb.models import DUE, ClaimItem, ProxyItem, RuleItem
from chalicelib.adapters.dynamodb.rule_items import from_item, to_item
from chalicelib.adapters.dynamodb.times import micros
from chalicelib.domain.claims import MAX_CLAIMS, SHARED_HTTP, owned, shared_ports
from chalicelib.domain.errors import (
    AlreadyClaimedError,
    ConflictError,
    NotFoundError,
    TooLargeError,
    VersionMismatchError,
)
from chalicelib.domain.load_balancers import MAX_RULES_PER_PROXY
from chalicelib.ports import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.claims import OwnedThing
    from chalicelib.domain.resources import ResourceRef
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import Clock, Idempotency

KEPT = timedelta(hours=24)
"""How long an idempotency key answers."""


class DynamoRules:
    """Implements RuleRepository."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def create(self, rule: Rule, compact: str | None, idempotency: Idempotency | None = None) -> Rule:
        if idempotency is not None and (known := self._answered(idempotency)) is not None:
            return self.get(known)
        owns, shares = self._wanted(rule)
        try:
            with translated(), self._transaction() as write:
                write.save(to_item(rule), condition=RuleItem.id.does_not_exist())
                _take(write, rule.id, owns, shares)
                _publish(write, rule, compact, more=1)
                if idempotency is not None:
                    write.save(self._answer(idempotency, rule.id), condition=ClaimItem.key.does_not_exist())
        except TransactWriteError as error:
            if idempotency is not None and (known := self._answered(idempotency)) is not None:
                return self.get(known)
            self._explain(error, rule, owns, shares)
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
            found = RuleItem.scan(limit=limit, last_evaluated_key=decode(cursor, frozenset({"id"})))
            rules = tuple(from_item(item) for item in found)
            return Page(rules, encode(found.last_evaluated_key))

    def replace(self, before: Rule, after: Rule, compact: str | None) -> Rule:
        stored = self.get(before.id)
        if stored.version != before.version:
            raise VersionMismatchError(f"Rule {before.id} is at version {stored.version}, not {before.version}.")
        now = self._clock.now()
        new = replace(
            stored,
            spec=after.spec,
            status=replace(stored.status, due_at=now),
            version=stored.version + 1,
            revision=stored.revision + 1,
            updated_at=now,
        )
        owns, shares = self._wanted(new)
        given_back = [thing for thing in owned(stored.spec) if thing not in owns]
        newly_owned = [thing for thing in owns if thing not in owned(stored.spec)]
        newly_shared = [thing for thing in shares if thing not in shared_ports(stored.spec)]
        moved = stored.spec.load_balancer_id != new.spec.load_balancer_id
        try:
            with translated(), self._transaction() as write:
                write.update(
                    RuleItem(new.id),
                    actions=[
                        RuleItem.spec.set(dump(new.spec)),
                        RuleItem.kind.set(new.spec.kind.value),
                        RuleItem.region.set(new.spec.region),
                        RuleItem.version.set(new.version),
                        RuleItem.revision.set(RuleItem.revision + 1),
                        RuleItem.due_at.set(micros(now)),
                        RuleItem.due_shard.set(DUE),
                        RuleItem.updated_at.set(micros(now)),
                    ],
                    condition=RuleItem.version == stored.version,
                )
                _take(write, new.id, newly_owned, newly_shared)
                _give_back(write, new.id, given_back)
                if moved:
                    _withdraw(write, stored)
                _publish(write, new, compact, more=1 if moved else 0)
        except TransactWriteError as error:
            self._explain(error, new, newly_owned, newly_shared)
        return self.get(new.id)

    def delete(self, rule: Rule) -> None:
        stored = self.get(rule.id)
        try:
            with translated(), self._transaction() as write:
                write.delete(RuleItem(rule.id), condition=RuleItem.version == rule.version)
                _give_back(write, rule.id, owned(stored.spec))
                _withdraw(write, stored)
        except TransactWriteError as error:
            self._explain(error, rule, (), ())

    def owners(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, str]:
        keys = {f"resource#{ref.kind}#{ref.region}#{ref.id}": ref for ref in refs}
        with translated():
            return {keys[item.key]: item.owner for item in ClaimItem.batch_get(list(keys), consistent_read=True)}

    # Below

    def _transaction(self) -> TransactWrite:
        meta = RuleItem.Meta
        connection = Connection(
            region=meta.region,
            host=meta.host,
            connect_timeout_seconds=meta.connect_timeout_seconds,
            read_timeout_seconds=meta.read_timeout_seconds,
            max_retry_attempts=meta.max_retry_attempts,
        )
        return TransactWrite(connection=connection)

    def _wanted(self, rule: Rule) -> tuple[tuple[OwnedThing, ...], tuple[OwnedThing, ...]]:
        owns, shares = owned(rule.spec), shared_ports(rule.spec)
        count = len(owns) + len(shares)
        if count > MAX_CLAIMS:
            raise TooLargeError(f"Hosts, listen ports and resources together are {count}; at most {MAX_CLAIMS} a rule.")
        return owns, shares

    def _answer(self, idempotency: Idempotency, rule_id: str) -> ClaimItem:
        expires = self._clock.now() + KEPT
        return ClaimItem(
            f"idempotency#rule#{idempotency.key}", owner=rule_id, fingerprint=idempotency.fingerprint, expires=expires
        )

    def _answered(self, idempotency: Idempotency) -> str | None:
        with translated():
            try:
                item = ClaimItem.get(f"idempotency#rule#{idempotency.key}", consistent_read=True)
            except ClaimItem.DoesNotExist:
                return None
        if item.expires is not None and item.expires <= self._clock.now():
            return None
        if item.fingerprint != idempotency.fingerprint:
            raise ConflictError("This Idempotency-Key was used for another request.")
        return item.owner

    def _explain(
        self, error: TransactWriteError, rule: Rule, owns: Sequence[OwnedThing], shares: Sequence[OwnedThing]
    ) -> None:
        """Say which condition of a transaction did not hold, by looking at what is stored now. Always raises."""
        if failed_conditions(error) is None:
            with translated():
                if is_conflict(error):
                    raise ConflictError("Somebody else is writing to the same things; try again.") from error
                raise error
        taken = self._taken(rule.id, owns, shares)
        if taken:
            raise AlreadyClaimedError(taken) from error
        balancer = rule.spec.load_balancer_id
        if balancer is not None:
            try:
                poll = ProxyItem.get(balancer, "poll", consistent_read=True)
            except ProxyItem.DoesNotExist:
                raise NotFoundError("load balancer", balancer) from None
            if int(poll.rules or 0) >= MAX_RULES_PER_PROXY:
                raise TooLargeError(f"A proxy carries at most {MAX_RULES_PER_PROXY} rules.") from error
        raise VersionMismatchError(f"Rule {rule.id} was changed by somebody else meanwhile.") from error

    def _taken(self, rule_id: str, owns: Sequence[OwnedThing], shares: Sequence[OwnedThing]) -> dict[str, str]:
        allowed = {thing.key: rule_id for thing in owns} | {thing.key: SHARED_HTTP for thing in shares}
        words = {thing.key: thing.words for thing in (*owns, *shares)}
        with translated():
            found = list(ClaimItem.batch_get(list(allowed), consistent_read=True)) if allowed else []
        return {words[item.key]: item.owner for item in found if item.owner != allowed[item.key]}


def _take(write: TransactWrite, rule_id: str, owns: Sequence[OwnedThing], shares: Sequence[OwnedThing]) -> None:
    for thing in owns:
        free_or_ours = ClaimItem.key.does_not_exist() | (ClaimItem.owner == rule_id)
        write.save(ClaimItem(thing.key, owner=rule_id), condition=free_or_ours)
    for thing in shares:
        free_or_shared = ClaimItem.key.does_not_exist() | (ClaimItem.owner == SHARED_HTTP)
        write.save(ClaimItem(thing.key, owner=SHARED_HTTP), condition=free_or_shared)


def _give_back(write: TransactWrite, rule_id: str, things: Sequence[OwnedThing]) -> None:
    for thing in things:
        write.delete(ClaimItem(thing.key), condition=ClaimItem.key.does_not_exist() | (ClaimItem.owner == rule_id))


def _publish(write: TransactWrite, rule: Rule, compact: str | None, more: int) -> None:
    balancer = rule.spec.load_balancer_id
    if balancer is None or compact is None:
        return
    write.save(ProxyItem(balancer, f"rule#{rule.id}", body=compact))
    there_with_room = ProxyItem.load_balancer_id.exists() & (ProxyItem.rules < MAX_RULES_PER_PROXY + 1 - more)
    write.update(
        ProxyItem(balancer, "poll"),
        actions=[ProxyItem.rules_version.add(1), ProxyItem.rules.add(more)],
        condition=there_with_room,
    )


def _withdraw(write: TransactWrite, stored: Rule) -> None:
    balancer = stored.spec.load_balancer_id
    if balancer is None:
        return
    write.delete(ProxyItem(balancer, f"rule#{stored.id}"))
    write.delete(ProxyItem(balancer, f"state#{stored.id}"))
    write.update(
        ProxyItem(balancer, "poll"),
        actions=[ProxyItem.rules_version.add(1), ProxyItem.states_version.add(1), ProxyItem.rules.add(-1)],
    )
