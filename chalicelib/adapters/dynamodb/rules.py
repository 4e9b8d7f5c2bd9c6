"""Rules as people change them: the rule, its claims and its compact form in one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from pynamodb.exceptions import TransactWriteError

from chalicelib.adapters.dynamodb.codec import dump
from chalicelib.adapters.dynamodb.cursors import decode, encode
from chalicelib.adapters.dynamodb.errors import failed_conditions, no_condition, translated
from chalicelib.adapters.dynamodb.idempotency import answered, remember
from chalicelib.adapters.dynamodb.models import DUE, ClaimItem, ProxyItem, RuleItem, ScheduleItem
from chalicelib.adapters.dynamodb.rule_items import from_item, set_connector, to_item
from chalicelib.adapters.dynamodb.times import micros
from chalicelib.adapters.dynamodb.transactions import transaction
from chalicelib.domain.claims import (
    CHANGED_MEANWHILE,
    MAX_CLAIMS,
    SHARED_HTTP,
    TOO_MANY,
    Links,
    links,
    owned,
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
from chalicelib.ports import NO_GRAPH, Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pynamodb.transactions import TransactWrite

    from chalicelib.domain.claims import OwnedThing
    from chalicelib.domain.resources import ResourceRef
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import Clock, Idempotency


class DynamoRules:
    """Implements RuleRepository."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

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
                _take(write, rule.id, owns, shares)
                _link(write, rule.id, Links(), links(rule.spec), graph)
                _publish(write, rule, compact, more=1)
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
                    ],
                    condition=RuleItem.version == stored.version,
                )
                _take(write, new.id, newly_owned, newly_shared)
                _give_back(write, new.id, _others(given_back, newly_shared), _others(released, newly_owned))
                _link(write, new.id, old_links, new_links, graph)
                if moved:
                    _withdraw(write, stored)
                _publish(write, new, compact, more=1 if moved else 0)
        except TransactWriteError as error:
            self._explain(error, stored, new, newly_owned, newly_shared)
        return self.get(new.id)

    def delete(self, rule: Rule) -> None:
        stored = self.get(rule.id)
        try:
            with translated(), transaction(RuleItem) as write:
                alone = RuleItem.dependents.does_not_exist()
                write.delete(RuleItem(rule.id), condition=(RuleItem.version == rule.version) & alone)
                _give_back(write, rule.id, owned(stored.spec), shared_ports(stored.spec))
                _link(write, rule.id, links(stored.spec), Links(), {})
                _withdraw(write, stored)
        except TransactWriteError as error:
            if dependents := self._unchanged(rule).dependents:
                raise ConflictError(f"Rules depend on {rule.id}: {', '.join(dependents)}.") from error
            self._explain(error, rule, rule, (), ())

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
        allowed = {thing.key: rule_id for thing in owns} | {thing.key: SHARED_HTTP for thing in shares}
        words = {thing.key: thing.words for thing in (*owns, *shares)}
        with translated():
            found = list(ClaimItem.batch_get(list(allowed), consistent_read=True)) if allowed else []
        return {words[i.key]: i.owner for i in found if i.owner != allowed[i.key] and not _is_free(i, rule_id)}


def _take(write: TransactWrite, rule_id: str, owns: Sequence[OwnedThing], shares: Sequence[OwnedThing]) -> None:
    ours_alone = ClaimItem.sharers.does_not_exist() | (ClaimItem.sharers == {rule_id})
    for thing in owns:
        free_or_ours = ClaimItem.key.does_not_exist() | (ClaimItem.owner == rule_id)
        shared_by_nobody_else = (ClaimItem.owner == SHARED_HTTP) & ours_alone
        write.save(ClaimItem(thing.key, owner=rule_id), condition=free_or_ours | shared_by_nobody_else)
    for thing in shares:
        free_or_shared = ClaimItem.key.does_not_exist() | (ClaimItem.owner == SHARED_HTTP)
        write.update(
            ClaimItem(thing.key),
            actions=[ClaimItem.owner.set(SHARED_HTTP), ClaimItem.sharers.add({rule_id})],
            condition=free_or_shared | (ClaimItem.owner == rule_id),
        )


def _give_back(write: TransactWrite, rule_id: str, things: Sequence[OwnedThing], shared: Sequence[OwnedThing]) -> None:
    for thing in things:
        write.delete(ClaimItem(thing.key), condition=ClaimItem.key.does_not_exist() | (ClaimItem.owner == rule_id))
    for thing in shared:
        still_shared = ClaimItem.owner == SHARED_HTTP
        write.update(ClaimItem(thing.key), actions=[ClaimItem.sharers.delete({rule_id})], condition=still_shared)


def _others(things: Sequence[OwnedThing], taken: Sequence[OwnedThing]) -> list[OwnedThing]:
    """Those that the same change does not take in another way: a transaction touches an item once."""
    keys = {thing.key for thing in taken}
    return [thing for thing in things if thing.key not in keys]


def _is_free(item: ClaimItem, rule_id: str) -> bool:
    return item.owner == SHARED_HTTP and not (item.sharers or set()) - {rule_id}


def _link(write: TransactWrite, rule_id: str, old: Links, new: Links, graph: Mapping[str, int]) -> None:
    """Tell what the rule refers to that it does, or no longer; hold the rules it was checked on at their versions."""
    for other in old.rules - new.rules:
        write.update(RuleItem(other), actions=[RuleItem.dependents.delete({rule_id})])
    for other in new.rules - old.rules:
        as_checked = RuleItem.version == graph[other]
        write.update(RuleItem(other), actions=[RuleItem.dependents.add({rule_id})], condition=as_checked)
    for other in graph.keys() - (new.rules - old.rules) - (old.rules - new.rules):
        write.condition_check(RuleItem, other, condition=RuleItem.version == graph[other])
    for schedule in old.schedules - new.schedules:
        write.update(ScheduleItem(schedule), actions=[ScheduleItem.rule_ids.delete({rule_id})])
    for schedule in new.schedules - old.schedules:
        there = ScheduleItem.id.exists()
        write.update(ScheduleItem(schedule), actions=[ScheduleItem.rule_ids.add({rule_id})], condition=there)


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
