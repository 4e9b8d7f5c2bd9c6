"""Who belongs to a rule by its tags. Pure: what was found in one place in, the members of each rule there out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.domain.resources import ResourceState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.resources import ObservedResource
    from chalicelib.domain.rules import Rule, RuleSpec

MAX_MEMBERS = 500
"""Resources that tags may bring into one rule: a rule's item, and its line in a proxy's configuration, stay small."""

MAX_LEFT_OUT = 100
"""Resources left out that a rule names; a tag that half an account has must not outgrow the rule's item."""

PIECE = 90
"""Members that join or leave in one transaction, which takes 100 actions; the rule and its proxy need three."""


@dataclass(frozen=True, slots=True, order=True)
class LeftOut:
    """A resource that has the rule's tags and does not join. `why` continues its id, as in `is a proxy of AutoStop`."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Membership:
    """What a rule's tags brought in, as last found: an observed fact, never ordered by people. Both are sorted.

    `unread`: why the tags could not be looked up when that was last tried; the members stay as they were then.
    """

    ids: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    unread: str | None = None


NO_MEMBERS = Membership()


@dataclass(frozen=True, slots=True)
class TaggedResource:
    """A resource with all its tags."""

    resource: ObservedResource
    tags: Mapping[str, str]

    def has(self, tags: Iterable[tuple[str, str]]) -> bool:
        """Whether it has all of them; keys and values are compared as AWS does, with case."""
        return all(self.tags.get(key) == value for key, value in tags)


@dataclass(frozen=True, slots=True)
class TaggedRule:
    """A rule as far as its tags are concerned."""

    id: str
    spec: RuleSpec
    membership: Membership
    created_at: datetime

    @staticmethod
    def of(rule: Rule) -> TaggedRule:
        """That part of a rule."""
        return TaggedRule(rule.id, rule.spec, rule.membership, rule.created_at)


def by_tags_alone(spec: RuleSpec) -> bool:
    """Whether a rule may well be without any resource: people named tags and none of their bearers."""
    return bool(spec.tags) and not spec.resource_ids


def carried_over(rule: Rule, spec: RuleSpec) -> Membership:
    """The members of a rule that gets this spec: until the next look as they were, but for those it names now."""
    if spec.place != rule.spec.place:
        return NO_MEMBERS
    named = frozenset(spec.resource_ids)
    ids = tuple(id_ for id_ in rule.members if id_ not in named)
    return replace(rule.membership, ids=ids, left_out=tuple(o for o in rule.membership.left_out if o.id not in named))


def candidates(rules: Sequence[TaggedRule], found: Mapping[str, TaggedResource]) -> tuple[str, ...]:
    """The ids that may join one of these rules, if nobody else owns them and a closer look finds no protection.

    All rules are of one place, and `found` has every resource there with one of their tag keys.
    """
    matches = _Matches(rules, found)
    wanted = {id_ for rule in rules for id_ in matches.of[rule.id] if matches.may_join(rule, id_)}
    return tuple(sorted(wanted - matches.held.keys()))


def assign(
    rules: Sequence[TaggedRule],
    found: Mapping[str, TaggedResource],
    owners: Mapping[str, str],
    checked: Mapping[str, ObservedResource],
) -> dict[str, Membership]:
    """The members that each rule should have now; rules and `found` as in `candidates`.

    `owners`: which rule owns a candidate. `checked`: the candidates that were looked at closer; one that was not joins
    at a later look. A member stays where it is as long as it has the tags and nothing forbids its stop; of several
    rules that could take a new one, the oldest does. The order of the input does not matter.
    """
    matches = _Matches(rules, found)
    return {rule.id: _membership(rule, matches, owners, checked) for rule in matches.by_age}


class _Matches:
    """What has the tags of which rule, and who holds it. `held` grows with each one that joins."""

    def __init__(self, rules: Sequence[TaggedRule], found: Mapping[str, TaggedResource]) -> None:
        self.by_age = sorted(rules, key=lambda rule: (rule.created_at, rule.id))
        self.found = found
        having: dict[tuple[str, str], set[str]] = defaultdict(set)
        for id_, seen in found.items():
            if seen.resource.state is not ResourceState.GONE:
                for pair in seen.tags.items():
                    having[pair].add(id_)
        self.of = {rule.id: _all_of(rule, having) for rule in rules}
        self.held = {id_: rule.id for rule in self.by_age for id_ in rule.spec.resource_ids}
        self.before = {rule.id: frozenset(rule.membership.ids) for rule in rules}
        self.kept: dict[str, tuple[str, ...]] = {}
        for rule in self.by_age:
            stay = [
                id_
                for id_ in sorted(self.before[rule.id])
                if id_ in self.of[rule.id] and id_ not in self.held and self.may_join(rule, id_)
            ]
            self.kept[rule.id] = tuple(stay)
            self.held |= dict.fromkeys(stay, rule.id)

    def may_join(self, rule: TaggedRule, id_: str) -> bool:
        """Whether nothing that its own description shows forbids to stop it."""
        return not blocked(self.found[id_].resource, rule.spec)

    def elsewhere(self, rule: TaggedRule, id_: str, owners: Mapping[str, str]) -> str | None:
        """The other rule that holds it; one that it is about to leave counts no more."""
        owner = self.held.get(id_) or owners.get(id_)
        if owner == rule.id or (id_ in self.before.get(owner or "", ()) and self.held.get(id_) is None):
            return None
        return owner


def _all_of(rule: TaggedRule, having: Mapping[tuple[str, str], set[str]]) -> frozenset[str]:
    if not rule.spec.tags:
        return frozenset()
    each = [having.get(pair, set()) for pair in rule.spec.tags]
    return frozenset(each[0].intersection(*each[1:]))


def blocked(resource: ObservedResource, spec: RuleSpec) -> str | None:
    """Why it must never be stopped, in words that continue its id; None where it may."""
    protections = resource.blocking_protections(accept_data_loss=spec.accept_data_loss)
    return " and ".join(protection.words for protection in protections) or None


def _membership(
    rule: TaggedRule, matches: _Matches, owners: Mapping[str, str], checked: Mapping[str, ObservedResource]
) -> Membership:
    ids = list(matches.kept[rule.id])
    known = {out.id: out for out in rule.membership.left_out}
    left_out: list[LeftOut] = []
    for id_ in sorted(matches.of[rule.id]):
        if matches.held.get(id_) == rule.id:
            continue
        close = checked.get(id_)
        owner = matches.elsewhere(rule, id_, owners)
        if (why := blocked(matches.found[id_].resource, rule.spec)) or (why := owner and f"belongs to rule {owner}"):
            left_out.append(LeftOut(id_, why))
        elif close is None:
            left_out += [known[id_]] if id_ in known else []
        elif close.state is ResourceState.GONE:
            continue
        elif why := blocked(close, rule.spec):
            left_out.append(LeftOut(id_, why))
        elif len(ids) >= MAX_MEMBERS:
            why = f"would be one too many: tags bring at most {MAX_MEMBERS} resources into a rule"
            left_out.append(LeftOut(id_, why))
        else:
            ids.append(id_)
            matches.held[id_] = rule.id
    return Membership(tuple(sorted(ids)), tuple(left_out[:MAX_LEFT_OUT]))


def shed(before: Membership, wanted: Membership) -> Membership:
    """Half the way: everything that leaves has left, and nothing has joined yet."""
    leaving = set(before.ids) - set(wanted.ids)
    known = [out for out in before.left_out if out.id not in leaving]
    left_out = sorted([*known, *(out for out in wanted.left_out if out.id in leaving)])
    return replace(before, ids=tuple(sorted(set(before.ids) - leaving)), left_out=tuple(left_out))


def pieces(before: Membership, wanted: Membership) -> tuple[Membership, ...]:
    """The steps from one to the other, each of at most PIECE members that join or leave; none where nothing changes."""
    moving = sorted(set(before.ids) ^ set(wanted.ids))
    if not moving:
        return () if before == wanted else (wanted,)
    steps, ids = [], frozenset(before.ids)
    for start in range(0, len(moving), PIECE):
        ids ^= frozenset(moving[start : start + PIECE])
        steps.append(replace(wanted, ids=tuple(sorted(ids))))
    return (*steps[:-1], wanted)
