"""Resources joining and leaving rules by their tags: the rule, the claims and its compact form in one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pynamodb.exceptions import TransactWriteError

from chalicelib.adapters.dynamodb.codec import dump
from chalicelib.adapters.dynamodb.cursors import decode, encode
from chalicelib.adapters.dynamodb.errors import failed_conditions, is_conflict, no_condition, translated
from chalicelib.adapters.dynamodb.models import DUE, TAGGED, ClaimItem, ProxyItem, RuleItem
from chalicelib.adapters.dynamodb.rule_items import bare, from_item, set_membership, tagged_rule
from chalicelib.adapters.dynamodb.rule_parts import give_back, publish, take
from chalicelib.adapters.dynamodb.times import maybe_micros
from chalicelib.adapters.dynamodb.transactions import transaction
from chalicelib.domain.claims import MOVED_MEANWHILE, owned_members
from chalicelib.domain.errors import AlreadyClaimedError, ConflictError, LostClaimError, NotFoundError, TooLargeError
from chalicelib.domain.membership import PIECE
from chalicelib.ports import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.claims import OwnedThing
    from chalicelib.domain.membership import TaggedRule
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import Clock

SHED_TRIES = 5


class DynamoMemberships:
    """Implements Memberships."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def tagged(self, limit: int, cursor: str | None = None) -> Page[TaggedRule]:
        with translated():
            after = decode(cursor, ("id", "tagged"), ("created_at",))
            found = RuleItem.by_tags.query(TAGGED, limit=limit, last_evaluated_key=after)
            rules = tuple(tagged_rule(item) for item in found)
            return Page(rules, encode(found.last_evaluated_key))

    def move(self, before: Rule, after: Rule, compact: str | None) -> Rule:
        old, new = frozenset(before.members), frozenset(after.members)
        if len(old ^ new) > PIECE:
            raise TooLargeError(f"At most {PIECE} resources join or leave a rule at once, not {len(old ^ new)}.")
        moved = replace(before, membership=after.membership, status=after.status, revision=before.revision + 1)
        joins = owned_members(before.spec, new - old)
        due_at = maybe_micros(moved.status.due_at)
        try:
            with translated(), transaction(RuleItem) as write:
                write.update(
                    RuleItem(before.id),
                    actions=[
                        *set_membership(moved),
                        RuleItem.status.set(dump(bare(moved.status))),
                        RuleItem.due_at.remove() if due_at is None else RuleItem.due_at.set(due_at),
                        RuleItem.due_shard.set(DUE),
                        RuleItem.revision.set(moved.revision),
                    ],
                    condition=RuleItem.revision == before.revision,
                )
                take(write, before.id, joins)
                give_back(write, before.id, owned_members(before.spec, old - new))
                publish(write, before, compact, more=0)
        except TransactWriteError as error:
            raise _why(error, before, joins) from error
        return replace(
            moved, status=replace(moved.status, woken_at=before.status.woken_at, woken_by=before.status.woken_by)
        )

    def shed(self, rule: Rule, down_to: int) -> Rule:
        """Let members leave a rule that is to be deleted, until it has no more than this; answers it as it is then.

        Raises ConflictError, NotFoundError.
        """
        for _ in range(SHED_TRIES):
            try:
                while len(rule.members) > down_to:
                    ids = rule.members[: max(down_to, len(rule.members) - PIECE)]
                    rule = self.move(rule, replace(rule, membership=replace(rule.membership, ids=ids)), None)
            except LostClaimError:
                newer = _stored(rule.id)
                if newer is None:
                    raise NotFoundError("rule", rule.id) from None
                rule = newer
            else:
                return rule
        raise ConflictError(MOVED_MEANWHILE)


def _why(error: TransactWriteError, rule: Rule, joins: Sequence[OwnedThing]) -> Exception:
    """Which condition of a transaction did not hold, by looking at what is stored now."""
    if failed_conditions(error) is None:
        return LostClaimError(rule.id) if is_conflict(error) else no_condition(error)
    now = _stored(rule.id)
    if now is None or now.revision != rule.revision:
        return LostClaimError(rule.id)
    words = {thing.key: thing.words for thing in joins}
    with translated():
        found = list(ClaimItem.batch_get(list(words), consistent_read=True)) if words else []
        taken = {words[item.key]: item.owner for item in found if item.owner != rule.id}
        if taken:
            return AlreadyClaimedError(taken)
        balancer = rule.spec.load_balancer_id
        if balancer is not None:
            try:
                ProxyItem.get(balancer, "poll", consistent_read=True)
            except ProxyItem.DoesNotExist:
                return NotFoundError("load balancer", balancer)
    return LostClaimError(rule.id)


def _stored(rule_id: str) -> Rule | None:
    with translated():
        try:
            return from_item(RuleItem.get(rule_id, consistent_read=True))
        except RuleItem.DoesNotExist:
            return None
