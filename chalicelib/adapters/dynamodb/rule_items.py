"""A rule as an item and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.models import RuleItem
from chalicelib.adapters.dynamodb.times import from_micros, maybe_from, maybe_micros, micros
from chalicelib.domain.resources import OWN_ACCOUNT, Connector, Place, ResourceKind
from chalicelib.domain.rules import Rule, RuleSpec, RuleStatus

if TYPE_CHECKING:
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
    )


def place_of(item: RuleItem) -> Place:
    """Where its resources are, from what the due index has."""
    connector = load(Connector, item.connector) if item.connector else OWN_ACCOUNT
    return Place(ResourceKind(item.kind), item.region, connector)


def set_connector(connector: Connector) -> Action:
    """The update of it."""
    text = _connector(connector)
    return RuleItem.connector.remove() if text is None else RuleItem.connector.set(text)


def _connector(connector: Connector) -> str | None:
    return None if connector == OWN_ACCOUNT else dump(connector)


def bare(status: RuleStatus) -> RuleStatus:
    """The status without what has an attribute of its own, because a wake writes it without reading the rest."""
    return replace(status, due_at=None, woken_at=None, woken_by=None)
