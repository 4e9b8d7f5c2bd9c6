"""A rule as an item and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.models import TAGGED, RuleItem
from chalicelib.adapters.dynamodb.times import from_micros, maybe_from, maybe_micros, micros
from chalicelib.domain.membership import NO_MEMBERS, Membership, TaggedRule
from chalicelib.domain.resources import OWN_ACCOUNT, Connector, Place, ResourceKind
from chalicelib.domain.rules import Rule, RuleSpec, RuleStatus

if TYPE_CHECKING:
    from pynamodb.expressions.condition import Condition
    from pynamodb.expressions.update import Action


def to_item(rule: Rule) -> RuleItem:
    """The whole rule."""
    return RuleItem(
        id=rule.id,
        spec=dump(rule.spec),
        status=dump(bare(rule.status)),
        version=rule.version,
        revision=rule.revision,
        kind=rule.spec.kind.value,
        region=rule.spec.region,
        connector=_connector(rule.spec.connector),
        due_at=maybe_micros(rule.status.due_at),
        woken_at=maybe_micros(rule.status.woken_at),
        woken_by=rule.status.woken_by,
        membership=_membership(rule),
        tagged=_tagged(rule),
        created_at=micros(rule.created_at),
        updated_at=micros(rule.updated_at),
    )


def from_item(item: RuleItem) -> Rule:
    """The rule back; what wakes write beside the status is put into it."""
    status = replace(
        load(RuleStatus, item.status),
        due_at=maybe_from(item.due_at),
        woken_at=maybe_from(item.woken_at),
        woken_by=item.woken_by,
    )
    return Rule(
        item.id,
        load(RuleSpec, item.spec),
        status,
        int(item.version),
        int(item.revision),
        from_micros(item.created_at),
        from_micros(item.updated_at),
        tuple(sorted(item.dependents or ())),
        load(Membership, item.membership) if item.membership else NO_MEMBERS,
    )


def place_of(item: RuleItem) -> Place:
    """Where its resources are, from what the due index has."""
    connector = load(Connector, item.connector) if item.connector else OWN_ACCOUNT
    return Place(ResourceKind(item.kind), item.region, connector)


def tagged_rule(item: RuleItem) -> TaggedRule:
    """What the index of rules with tags has of one."""
    membership = load(Membership, item.membership) if item.membership else NO_MEMBERS
    return TaggedRule(item.id, load(RuleSpec, item.spec), membership, from_micros(item.created_at))


def with_membership(rule: Rule) -> Condition:
    """That a rule's members are those that were read."""
    text = _membership(rule)
    return RuleItem.membership.does_not_exist() if text is None else RuleItem.membership == text


def set_membership(rule: Rule) -> tuple[Action, Action]:
    """The update of its members, and of whether the index of rules with tags has it."""
    members, tagged = _membership(rule), _tagged(rule)
    return (
        RuleItem.membership.remove() if members is None else RuleItem.membership.set(members),
        RuleItem.tagged.remove() if tagged is None else RuleItem.tagged.set(tagged),
    )


def _membership(rule: Rule) -> str | None:
    return None if rule.membership == NO_MEMBERS else dump(rule.membership)


def _tagged(rule: Rule) -> str | None:
    """Also without tags for as long as it has members of those that it had: they have yet to leave."""
    return TAGGED if rule.spec.tags or rule.membership != NO_MEMBERS else None


def set_connector(connector: Connector) -> Action:
    """The update of it."""
    text = _connector(connector)
    return RuleItem.connector.remove() if text is None else RuleItem.connector.set(text)


def _connector(connector: Connector) -> str | None:
    return None if connector == OWN_ACCOUNT else dump(connector)


def bare(status: RuleStatus) -> RuleStatus:
    """The status without what has an attribute of its own, because a wake writes it without reading the rest."""
    return replace(status, due_at=None, woken_at=None, woken_by=None)
