"""Rules in memory: what people change, and what reconcile, wakes and overrides write."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import fields, replace
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING

from chalicelib.adapters.memory.claims import MemoryClaims, check_size
from chalicelib.adapters.memory.idempotency import Answers
from chalicelib.adapters.memory.paging import page
from chalicelib.domain.claims import (
    CHANGED_MEANWHILE,
    MOVED_MEANWHILE,
    links,
    owned_members,
)
from chalicelib.domain.errors import (
    ConflictError,
    LostClaimError,
    NeighbourChangedError,
    NotFoundError,
    TooLargeError,
    VersionMismatchError,
)
from chalicelib.domain.load_balancers import MAX_RULES_PER_PROXY
from chalicelib.domain.membership import NO_MEMBERS, PIECE, TaggedRule, carried_over
from chalicelib.domain.rules import Rule, RuleStatus
from chalicelib.ports import NO_GRAPH, NOBODY, DueRule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from chalicelib.adapters.memory.proxies import MemoryProxyStore
    from chalicelib.adapters.memory.schedules import MemorySchedules
    from chalicelib.domain.resources import ResourceRef
    from chalicelib.domain.rules import Claim, Override, RuleSpec
    from chalicelib.ports import Clock, Idempotency, Page

_due_at = itemgetter(0)
_NOT_DECISIVE = frozenset({"due_at", "seen", "observed_at", "claim"})
_decisive = attrgetter(*(f.name for f in fields(RuleStatus) if f.name not in _NOT_DECISIVE))


class MemoryRules:
    """Implements RuleRepository, Memberships and RuleStatusStore over one dictionary; who is due is found by time."""

    def __init__(self, proxies: MemoryProxyStore, schedules: MemorySchedules, clock: Clock) -> None:
        self._proxies = proxies
        self._schedules = schedules
        self._clock = clock
        self._rules: dict[str, Rule] = {}
        self._due: list[tuple[datetime, str]] = []
        self._claims = MemoryClaims()
        self._answers = Answers(clock)

    # RuleRepository

    def create(
        self,
        rule: Rule,
        compact: str | None,
        idempotency: Idempotency | None = None,
        graph: Mapping[str, int] = NO_GRAPH,
    ) -> Rule:
        if (known := self._answers.first(idempotency)) is not None:
            return self.get(known)
        check_size(None, rule.spec)
        self._check_room(rule.spec)
        self._check_links(rule.spec, graph)
        self._claims.take(rule.id, rule.spec)
        self._put(rule)
        self._link(rule.id, None, rule.spec)
        self._publish(rule, compact)
        self._answers.remember(idempotency, rule.id)
        return rule

    def get(self, rule_id: str) -> Rule:
        try:
            return self._rules[rule_id]
        except KeyError:
            raise NotFoundError("rule", rule_id) from None

    def get_many(self, rule_ids: Sequence[str]) -> dict[str, Rule]:
        return {id_: self._rules[id_] for id_ in rule_ids if id_ in self._rules}

    def list(self, limit: int, cursor: str | None = None) -> Page[Rule]:
        return page(self._rules.values(), limit, cursor)

    def replace(self, before: Rule, after: Rule, compact: str | None, graph: Mapping[str, int] = NO_GRAPH) -> Rule:
        stored = self._at_version(before)
        _check_members(before, stored, after)
        self._check_links(after.spec, graph)
        if after.spec.load_balancer_id != stored.spec.load_balancer_id:
            self._check_room(after.spec)
        check_size(stored.spec, after.spec)
        self._claims.take(stored.id, after.spec)
        self._claims.give_back(stored, after.spec)
        if stored.spec.load_balancer_id is not None and stored.spec.load_balancer_id != after.spec.load_balancer_id:
            self._proxies.drop_rule(stored.spec.load_balancer_id, stored.id)
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
        self._put(new)
        self._link(new.id, stored.spec, new.spec)
        self._publish(new, compact)
        return new

    def delete(self, rule: Rule) -> None:
        stored = self._at_version(rule)
        if stored.dependents:
            raise ConflictError(f"Rules depend on {rule.id}: {', '.join(stored.dependents)}.")
        self._link(stored.id, stored.spec, None)
        self._claims.give_back(stored, None)
        self._claims.give_things_back(stored.id, owned_members(stored.spec, stored.members))
        self._not_due(stored)
        del self._rules[stored.id]
        if stored.spec.load_balancer_id is not None:
            self._proxies.drop_rule(stored.spec.load_balancer_id, stored.id)

    def owners(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, str]:
        return self._claims.owners(refs)

    # Memberships

    def tagged(self, limit: int, cursor: str | None = None) -> Page[TaggedRule]:
        rules = [TaggedRule.of(r) for r in self._rules.values() if r.spec.tags or r.membership != NO_MEMBERS]
        return page(rules, limit, cursor, _by_age, of="tagged")

    def move(self, before: Rule, after: Rule, compact: str | None) -> Rule:
        stored = self._at_revision(before)
        old, new = set(stored.members), set(after.members)
        if len(old ^ new) > PIECE:
            raise TooLargeError(f"At most {PIECE} resources join or leave a rule at once, not {len(old ^ new)}.")
        if stored.spec.load_balancer_id is not None and compact is not None:
            self._proxies.poll(stored.spec.load_balancer_id)
        self._claims.take_things(stored.id, owned_members(stored.spec, new - old))
        self._claims.give_things_back(stored.id, owned_members(stored.spec, old - new))
        status = _keep_wake(stored, after.status)
        moved = replace(stored, membership=after.membership, status=status, revision=stored.revision + 1)
        self._put(moved)
        self._publish(moved, compact)
        return moved

    # RuleStatusStore

    def due(self, now: datetime, limit: int, cursor: str | None = None) -> Page[DueRule]:
        passed = self._due[: bisect_right(self._due, now, key=_due_at)]
        rules = [(due_at, self._rules[id_]) for due_at, id_ in passed]
        ready = [DueRule(rule.id, due_at, rule.spec.place) for due_at, rule in rules]
        return page(ready, limit, cursor, _by_due, of="due")

    def claim(self, rule: Rule, claim: Claim, status: RuleStatus, needs: Mapping[str, int] = NOBODY) -> Rule:
        stored = self._at_revision(rule)
        if stored.status.claim is not None and stored.status.claim.live(self._clock.now()):
            raise LostClaimError(rule.id)
        self._move_on(needs)
        return self._write(stored, replace(_keep_wake(stored, status), claim=claim, due_at=claim.lease_until))

    def record(self, rule: Rule, status: RuleStatus, needs: Mapping[str, int] = NOBODY) -> Rule:
        stored = self._at_revision(rule)
        self._move_on(needs)
        new = _keep_wake(stored, status)
        if new.claim is not None:
            new = replace(new, claim=None)
        same = stored.status.claim is None and _decisive(stored.status) == _decisive(new)
        return self._write(stored, new, step=0 if same else 1)

    def wake(self, rule_id: str, at: datetime, cause: str, not_after: datetime) -> Rule:
        rule = self.get(rule_id)
        if rule.status.woken_at is not None and rule.status.woken_at >= not_after:
            return rule
        return self._write(rule, replace(rule.status, woken_at=at, woken_by=cause, due_at=at))

    def set_override(self, rule: Rule, override: Override | None, due_at: datetime) -> Rule:
        self.get(rule.id)
        stored = self._at_revision(rule)
        return self._write(stored, replace(stored.status, override=override, due_at=due_at))

    def make_due(self, rule_ids: Sequence[str], at: datetime) -> None:
        for rule in self.get_many(rule_ids).values():
            if rule.status.due_at is None or rule.status.due_at > at:
                self._write(rule, replace(rule.status, due_at=at), step=0)

    # Below both

    def _write(self, stored: Rule, status: RuleStatus, step: int = 1) -> Rule:
        new = stored.with_status(status, stored.revision + step)
        self._put(new)
        return new

    def _put(self, rule: Rule) -> None:
        before, due_at = self._rules.get(rule.id), rule.status.due_at
        self._rules[rule.id] = rule
        if before is not None:
            if before.status.due_at == due_at:
                return
            self._not_due(before)
        if due_at is not None:
            insort(self._due, (due_at, rule.id))

    def _not_due(self, rule: Rule) -> None:
        if rule.status.due_at is not None:
            del self._due[bisect_left(self._due, (rule.status.due_at, rule.id))]

    def _move_on(self, needs: Mapping[str, int]) -> None:
        """All of them, or none."""
        if not needs:
            return
        found = self.get_many(list(needs))
        if {id_: rule.revision for id_, rule in found.items()} != needs:
            raise NeighbourChangedError(", ".join(needs))
        for rule in found.values():
            self._write(rule, rule.status)

    def _at_revision(self, rule: Rule) -> Rule:
        stored = self._rules.get(rule.id)
        if stored is None or stored.revision != rule.revision:
            raise LostClaimError(rule.id)
        return stored

    def _at_version(self, rule: Rule) -> Rule:
        stored = self.get(rule.id)
        if stored.version != rule.version:
            raise VersionMismatchError(f"Rule {rule.id} is at version {stored.version}, not {rule.version}.")
        return stored

    def _check_links(self, spec: RuleSpec, graph: Mapping[str, int]) -> None:
        known = {rule_id: rule.version for rule_id, rule in self.get_many(list(graph)).items()}
        if known != graph or len(self._schedules.get_many(spec.schedule_ids)) < len(spec.schedule_ids):
            raise ConflictError(CHANGED_MEANWHILE)

    def _link(self, rule_id: str, before: RuleSpec | None, after: RuleSpec | None) -> None:
        old, new = links(before), links(after)
        for other in old.rules ^ new.rules:
            rule = self._rules[other]
            dependents = set(rule.dependents) ^ {rule_id}
            self._rules[other] = replace(rule, dependents=tuple(sorted(dependents)))
        for schedule_id in old.schedules ^ new.schedules:
            self._schedules.toggle(schedule_id, rule_id)

    def _check_room(self, spec: RuleSpec) -> None:
        balancer = spec.load_balancer_id
        if balancer is not None and self._proxies.count(balancer) >= MAX_RULES_PER_PROXY:
            raise TooLargeError(f"A proxy carries at most {MAX_RULES_PER_PROXY} rules.")

    def _publish(self, rule: Rule, compact: str | None) -> None:
        if rule.spec.load_balancer_id is not None and compact is not None:
            self._proxies.put_rule(rule.spec.load_balancer_id, rule.id, compact)


def _keep_wake(stored: Rule, status: RuleStatus) -> RuleStatus:
    """Only a wake writes when and by what a rule was woken."""
    if (status.woken_at, status.woken_by) == (stored.status.woken_at, stored.status.woken_by):
        return status
    return replace(status, woken_at=stored.status.woken_at, woken_by=stored.status.woken_by)


def _by_due(rule: DueRule) -> list[str]:
    return [rule.due_at.isoformat(timespec="microseconds"), rule.id]


def _by_age(rule: TaggedRule) -> list[str]:
    return [rule.created_at.isoformat(timespec="microseconds"), rule.id]


def _check_members(before: Rule, stored: Rule, after: Rule) -> None:
    if before.membership != stored.membership or (stored.members and after.spec.place != stored.spec.place):
        raise ConflictError(MOVED_MEANWHILE)
