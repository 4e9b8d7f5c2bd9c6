"""What reconcile, wakes and overrides write: one conditional update each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException, TransactWriteError

from chalicelib.adapters.dynamodb.codec import dump
from chalicelib.adapters.dynamodb.cursors import decode, encode
from chalicelib.adapters.dynamodb.errors import (
    OVERTAKEN,
    condition_failed,
    failed_conditions,
    is_conflict,
    no_condition,
    translated,
)
from chalicelib.adapters.dynamodb.models import DUE, RuleItem
from chalicelib.adapters.dynamodb.rule_items import bare, from_item, place_of
from chalicelib.adapters.dynamodb.times import from_micros, maybe_micros, micros
from chalicelib.adapters.dynamodb.transactions import transaction
from chalicelib.domain.errors import CloudError, LostClaimError, NeighbourChangedError, NotFoundError
from chalicelib.ports import NOBODY, DueRule, Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pynamodb.expressions.condition import Condition
    from pynamodb.expressions.update import Action

    from chalicelib.domain.rules import Claim, Override, Rule, RuleStatus
    from chalicelib.ports import Clock


class DynamoRuleStatus:
    """Implements RuleStatusStore."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def due(self, now: datetime, limit: int, cursor: str | None = None) -> Page[DueRule]:
        with translated():
            found = RuleItem.due.query(
                DUE,
                RuleItem.due_at <= micros(now),
                limit=limit,
                last_evaluated_key=decode(cursor, ("id", "due_shard"), ("due_at",)),
            )
            rules = tuple(DueRule(item.id, from_micros(item.due_at or 0), place_of(item)) for item in found)
            return Page(rules, encode(found.last_evaluated_key))

    def claim(self, rule: Rule, claim: Claim, status: RuleStatus, needs: Mapping[str, int] = NOBODY) -> Rule:
        held = rule.status.claim
        if held is not None and held.live(self._clock.now()):
            raise LostClaimError(rule.id)
        return self._write(rule, replace(status, claim=claim, due_at=claim.lease_until), 1, needs)

    def record(self, rule: Rule, status: RuleStatus, needs: Mapping[str, int] = NOBODY) -> Rule:
        new = replace(status, claim=None, woken_at=rule.status.woken_at, woken_by=rule.status.woken_by)
        same = _decisive(rule.status) == _decisive(new)
        return self._write(rule, new, 0 if same else 1, needs)

    def wake(self, rule_id: str, at: datetime, cause: str, not_after: datetime) -> Rule:
        not_woken_lately = RuleItem.woken_at.does_not_exist() | (RuleItem.woken_at < micros(not_after))
        there = RuleItem.id.exists()
        item = RuleItem(rule_id)
        with translated():
            try:
                item.update(
                    actions=[
                        RuleItem.woken_at.set(micros(at)),
                        RuleItem.woken_by.set(cause),
                        RuleItem.due_at.set(micros(at)),
                        RuleItem.due_shard.set(DUE),
                        RuleItem.revision.set(RuleItem.revision + 1),
                    ],
                    condition=there & not_woken_lately,
                )
            except PynamoDBException as error:
                if not condition_failed(error):
                    raise
                return self._read(rule_id)
        return from_item(item)

    def set_override(self, rule: Rule, override: Override | None, due_at: datetime) -> Rule:
        try:
            return self._write(rule, replace(rule.status, override=override, due_at=due_at), step=1)
        except LostClaimError:
            with translated():
                self._read(rule.id)  # where it is gone, say so
            raise

    def make_due(self, rule_ids: Sequence[str], at: datetime) -> None:
        later = RuleItem.due_at.does_not_exist() | (RuleItem.due_at > micros(at))
        for rule_id in rule_ids:
            with translated():
                try:
                    RuleItem(rule_id).update(
                        actions=[RuleItem.due_at.set(micros(at)), RuleItem.due_shard.set(DUE)],
                        condition=RuleItem.id.exists() & later,
                    )
                except PynamoDBException as error:
                    if not condition_failed(error):
                        raise

    def _write(self, rule: Rule, status: RuleStatus, step: int, needs: Mapping[str, int] = NOBODY) -> Rule:
        """Store a status at the revision that was read; whoever wrote in between wins."""
        at_the_revision_read = RuleItem.revision == rule.revision
        due_at = maybe_micros(status.due_at)
        actions: list[Action] = [
            RuleItem.status.set(dump(bare(status))),
            RuleItem.due_at.remove() if due_at is None else RuleItem.due_at.set(due_at),
            RuleItem.revision.set(rule.revision + step),
        ]
        try:
            with translated():
                if needs:
                    self._write_with(RuleItem(rule.id), actions, at_the_revision_read, needs)
                else:
                    RuleItem(rule.id).update(actions=actions, condition=at_the_revision_read)
        except TransactWriteError as error:
            failed = failed_conditions(error)
            if failed is None and not is_conflict(error):
                raise no_condition(error) from error
            raise (LostClaimError if failed and 0 in failed else NeighbourChangedError)(rule.id) from error
        except CloudError as error:
            if error.code in OVERTAKEN:
                raise LostClaimError(rule.id) from error
            raise
        kept = replace(status, woken_at=rule.status.woken_at, woken_by=rule.status.woken_by)
        return replace(rule, status=kept, revision=rule.revision + step)

    def _write_with(
        self, item: RuleItem, actions: list[Action], condition: Condition, needs: Mapping[str, int]
    ) -> None:
        """This rule, and the rules that it makes needed, each at the revision at which it was seen."""
        with transaction(RuleItem) as write:
            write.update(item, actions=actions, condition=condition)
            for id_, revision in needs.items():
                as_seen = RuleItem.revision == revision
                write.update(RuleItem(id_), actions=[RuleItem.revision.set(revision + 1)], condition=as_seen)

    def _read(self, rule_id: str) -> Rule:
        try:
            return from_item(RuleItem.get(rule_id, consistent_read=True))
        except RuleItem.DoesNotExist:
            raise NotFoundError("rule", rule_id) from None


def _decisive(status: RuleStatus) -> RuleStatus:
    """Without what no decision stands on."""
    return replace(status, due_at=None, seen=(), observed_at=None)
