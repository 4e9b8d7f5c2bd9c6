"""What a move of members means for a rule: its next status, and what the history says of it. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.domain.events import EventKind
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import RuleState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from chalicelib.domain.membership import Membership
    from chalicelib.domain.resources import ObservedResource
    from chalicelib.domain.rules import Rule

_RUNS = frozenset({ResourceState.RUNNING, ResourceState.PENDING})


def after_move(rule: Rule, membership: Membership, resources: Mapping[str, ObservedResource], now: datetime) -> Rule:
    """The rule with these members: due at once, for what it has to do may have changed.

    Of what one that runs was used for before it joined, nobody knows: the idle time counts from now. Of a rule that was
    never looked at, it is no surprise that it runs: the rule is up, as if people had named it.
    """
    after = replace(rule, membership=membership)
    if after.members == rule.members:
        return after
    status = replace(rule.status, due_at=now)
    joined = [resources[id_] for id_ in set(after.members) - set(rule.members) if id_ in resources]
    if any(resource.state in _RUNS for resource in joined):
        status = replace(status, up_since=now)
        if rule.status.reason is None and rule.status.state is RuleState.DOWN:
            status = replace(status, state=RuleState.UP, since=now)
    return replace(after, status=status)


def told(before: Rule, after: Rule, resources: Mapping[str, ObservedResource]) -> Iterator[tuple[EventKind, str]]:
    """What a move leaves in the history, one entry for each resource that it is about."""
    old, new = before.membership, after.membership
    if new.unread is not None and new.unread != old.unread:
        kept = "Its resources stay as they are until that works again."
        yield EventKind.UNOBSERVABLE, f"Resources with its tags could not be looked up: {new.unread} {kept}"
    tags = ", ".join(f"{key}={value}" for key, value in after.spec.tags)
    for id_ in sorted(set(new.ids) - set(old.ids)):
        yield EventKind.RESOURCE_JOINED, f"{_called(id_, resources)} joined: it has the tags {tags}."
    out_of_it = {out.id: out.why for out in new.left_out}
    for id_ in sorted(set(old.ids) - set(new.ids)):
        kind = EventKind.RESOURCE_LEFT_OUT if id_ in out_of_it else EventKind.RESOURCE_LEFT
        why = f"it {out_of_it[id_]}." if id_ in out_of_it else _why(id_, after, resources)
        yield kind, f"{_called(id_, resources)} left: {why}{_as_it_leaves(id_, resources)}"
    for out in sorted(set(new.left_out) - set(old.left_out)):
        if out.id not in old.ids:  # a member is told of when it leaves
            name = _called(out.id, resources)
            yield EventKind.RESOURCE_LEFT_OUT, f"{name} has the tags {tags} and is left out: it {out.why}."


def _why(id_: str, rule: Rule, resources: Mapping[str, ObservedResource]) -> str:
    seen = resources.get(id_)
    if seen is not None and seen.state is ResourceState.GONE:
        return "it is gone."
    if seen is not None and seen.blocking_protections(accept_data_loss=rule.spec.accept_data_loss):
        return "it must never be stopped."
    return "its tags no longer match." if rule.spec.tags else "the rule has no tags any more."


def _as_it_leaves(id_: str, resources: Mapping[str, ObservedResource]) -> str:
    seen = resources.get(id_)
    if seen is not None and seen.state in {ResourceState.STOPPED, ResourceState.STOPPING}:
        return f" It is {seen.state} as it leaves, and AutoStop will not start it any more."
    return ""


def _called(id_: str, resources: Mapping[str, ObservedResource]) -> str:
    seen = resources.get(id_)
    return f"{id_} ({seen.name})" if seen is not None and seen.name else id_
