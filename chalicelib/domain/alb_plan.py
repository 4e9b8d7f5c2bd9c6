"""What is to be changed on an ALB, rule by rule, so that its listener rules and target groups are as wanted. Pure.

Weights are the reconcile worker's: those that a rule has are left, and what is new begins at the function, which is
right whether the rule is up (the function asks for a look) or down (it wakes it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from chalicelib.domain.alb_order import priorities
from chalicelib.domain.alb_seen import Forward
from chalicelib.domain.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chalicelib.domain.alb_seen import Probe, Redirect, SeenGroup, SeenRule
    from chalicelib.domain.alb_wanted import Wanted, WantedGroup, WantedRule

FIRST_WEIGHTS = (0, 100)
"""Instances and function, of a listener rule that is new."""


@dataclass(frozen=True, slots=True)
class MakeGroup:
    """A target group for the instances of a rule."""

    group: WantedGroup


@dataclass(frozen=True, slots=True)
class SetProbe:
    """Another health check."""

    arn: str
    probe: Probe


@dataclass(frozen=True, slots=True)
class Register:
    """Targets that are missing."""

    arn: str
    targets: frozenset[tuple[str, int | None]]


@dataclass(frozen=True, slots=True)
class Deregister:
    """Targets that are not the rule's."""

    arn: str
    targets: frozenset[tuple[str, int | None]]


@dataclass(frozen=True, slots=True)
class DropGroup:
    """A target group that nothing needs any more."""

    arn: str


@dataclass(frozen=True, slots=True)
class MakeRule:
    """A listener rule."""

    listener_arn: str
    priority: int
    rule: WantedRule
    action: Forward | Redirect


@dataclass(frozen=True, slots=True)
class SetRule:
    """Other conditions, or another action, for a listener rule of ours."""

    arn: str
    rule: WantedRule
    action: Forward | Redirect


@dataclass(frozen=True, slots=True)
class DropRule:
    """A listener rule of ours that is not wanted any more."""

    arn: str


@dataclass(frozen=True, slots=True)
class Move:
    """Other priorities for rules of ours, all at once."""

    priorities: tuple[tuple[str, int], ...]


Change: TypeAlias = MakeGroup | SetProbe | Register | Deregister | DropGroup | MakeRule | SetRule | DropRule | Move


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes by rule, in the order in which they are to be done; of `refused` rules nothing can be done, and why."""

    moves: tuple[Move, ...]
    changes: Mapping[str, tuple[Change, ...]]
    refused: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OnAlb:
    """What the plan is made from. `listeners`: port to ARN; `rules`: all, those of others too."""

    load_balancer_id: str
    listeners: Mapping[int, str]
    function_group: str
    rules: Sequence[SeenRule]
    groups: Sequence[SeenGroup]


def plan(wishes: Sequence[Wanted], seen: OnAlb) -> Plan:
    """The next changes. After some of them more may follow: a group has to be there before a rule forwards to it."""
    refused = {
        wish.rule_id: f"{seen.load_balancer_id} has no listener on port {rule.port}"
        for wish in wishes
        for rule in wish.rules
        if rule.port not in seen.listeners
    }
    changes: dict[str, list[Change]] = {}
    ready: list[Wanted] = []
    for wish in wishes:
        if wish.rule_id in refused:
            continue
        group_changes, complete = _group(wish, seen)
        changes[wish.rule_id] = group_changes
        if complete:
            ready.append(wish)
    moves: list[Move] = []
    for port, listener_arn in sorted(seen.listeners.items()):
        rules = [(wish, rule) for wish in ready for rule in wish.rules if rule.port == port]
        try:
            move, made = _on_listener(listener_arn, rules, seen)
        except ConflictError as error:
            refused |= {wish.rule_id: str(error) for wish, _ in rules}
            continue
        moves += move
        for id_, change in made:
            changes[id_].append(change)
    for id_, change in _left_over(wishes, seen):
        changes.setdefault(id_, []).append(change)
    full = {id_: tuple(some) for id_, some in changes.items() if some and id_ not in refused}
    return Plan(tuple(moves), full, refused)


def _group(wish: Wanted, seen: OnAlb) -> tuple[list[Change], bool]:
    """What its target group needs, and whether rules can forward to it."""
    wanted = wish.group
    if wanted is None:
        return [], True
    group = next((one for one in seen.groups if one.rule_id == wish.rule_id), None)
    if group is None:
        return [MakeGroup(wanted)], False
    if group.protocol != wanted.protocol:
        # The protocol of a group cannot be changed: traffic waits at the function while another is made.
        return [*_to_function(wish, group, seen), DropGroup(group.arn)], False
    some: list[Change] = []
    if group.probe != wanted.probe:
        some.append(SetProbe(group.arn, wanted.probe))
    if missing := wanted.targets - group.targets:
        some.append(Register(group.arn, missing))
    if extra := group.targets - wanted.targets:
        some.append(Deregister(group.arn, extra))
    return some, True


def _to_function(wish: Wanted, group: SeenGroup, seen: OnAlb) -> Iterator[Change]:
    for rule in _ours(seen, wish.rule_id):
        if isinstance(rule.action, Forward) and group.arn in rule.action.arns:
            same = next((one for one in wish.rules if _same(one, rule)), wish.rules[0])
            yield SetRule(rule.arn, same, Forward(((seen.function_group, 1),)))


def _on_listener(
    listener_arn: str, rules: Sequence[tuple[Wanted, WantedRule]], seen: OnAlb
) -> tuple[list[Move], list[tuple[str, Change]]]:
    ordered = sorted(rules, key=lambda pair: (*(-part for part in pair[1].weight), pair[1].rule_id, pair[1].hosts))
    paired = _paired(listener_arn, [rule for _, rule in ordered], seen)
    there = [rule for rule in seen.rules if rule.listener_arn == listener_arn]
    foreign = {rule.priority for rule in there if rule.load_balancer_id != seen.load_balancer_id}
    extra = [one for one in there if one.load_balancer_id == seen.load_balancer_id and one not in paired]
    have = [None if one is None else one.priority for one in paired]
    numbers = priorities(have, foreign, {one.priority for one in extra})
    moved = tuple(
        (one.arn, number) for one, number in zip(paired, numbers, strict=True) if one and one.priority != number
    )
    made: list[tuple[str, Change]] = []
    for (wish, rule), one, number in zip(ordered, paired, numbers, strict=True):
        action = _action(wish, rule, seen)
        if one is None:
            made.append((wish.rule_id, MakeRule(listener_arn, number, rule, action)))
        elif not _same(rule, one) or not _stands(action, one):
            made.append((wish.rule_id, SetRule(one.arn, rule, action)))
    ids = {wish.rule_id for wish, _ in rules}
    made += [(one.rule_id, DropRule(one.arn)) for one in extra if one.rule_id in ids]
    return ([Move(moved)] if moved else []), made


def _paired(listener_arn: str, rules: Sequence[WantedRule], seen: OnAlb) -> list[SeenRule | None]:
    """For each wanted one that of ours which is to be it: one with its conditions, else another of the same rule."""
    free = [
        one for one in seen.rules if one.listener_arn == listener_arn and one.load_balancer_id == seen.load_balancer_id
    ]
    found: list[SeenRule | None] = [None] * len(rules)
    for exact in (True, False):
        for n, rule in enumerate(rules):
            if found[n] is None:
                fits = (o for o in free if o.rule_id == rule.rule_id and (not exact or _same(rule, o)))
                found[n] = next(fits, None)
                if (taken := found[n]) is not None:
                    free.remove(taken)
    return found


def _same(rule: WantedRule, one: SeenRule) -> bool:
    return not one.narrowed and one.hosts == frozenset(rule.hosts) and one.paths == frozenset(rule.paths)


def _stands(action: Forward | Redirect, one: SeenRule) -> bool:
    if isinstance(action, Forward) and isinstance(one.action, Forward):
        return one.action.arns == action.arns and not one.action.sticky
    return one.action == action


def _action(wish: Wanted, rule: WantedRule, seen: OnAlb) -> Forward | Redirect:
    if rule.redirect is not None:
        return rule.redirect
    group = next(one.arn for one in seen.groups if one.rule_id == wish.rule_id)
    function = seen.function_group
    forwards = [one.action for one in _ours(seen, wish.rule_id) if isinstance(one.action, Forward)]
    # Best from one that has both; else the instances keep what they get, though the function's group is another now.
    for action in sorted(forwards, key=lambda action: function not in action.arns):
        weights = dict(action.groups)
        if group in weights:
            to_instances = weights[group]
            return Forward(((group, to_instances), (function, weights.get(function, 0 if to_instances else 100))))
    to_instances, to_function = FIRST_WEIGHTS
    return Forward(((group, to_instances), (function, to_function)))


def _left_over(wishes: Sequence[Wanted], seen: OnAlb) -> Iterator[tuple[str, Change]]:
    """Of rules that are gone, or moved to a listener that is gone, or that only redirect now."""
    known = {wish.rule_id: wish for wish in wishes}
    for one in seen.rules:
        if one.load_balancer_id == seen.load_balancer_id:
            wish = known.get(one.rule_id or "")
            ports = {seen.listeners.get(rule.port) for rule in wish.rules} if wish else set()
            if one.listener_arn not in ports:
                yield one.rule_id or "", DropRule(one.arn)
    for group in seen.groups:
        if group.rule_id is not None and ((wish := known.get(group.rule_id)) is None or wish.group is None):
            yield group.rule_id, DropGroup(group.arn)


def _ours(seen: OnAlb, rule_id: str) -> list[SeenRule]:
    return [one for one in seen.rules if one.load_balancer_id == seen.load_balancer_id and one.rule_id == rule_id]
