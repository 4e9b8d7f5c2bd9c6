"""Who owns what, in memory: hosts, listen ports and resources."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from chalicelib.domain.claims import MAX_CLAIMS, SHARED, TOO_MANY, links, owned, resource_key, shared_ports
from chalicelib.domain.errors import AlreadyClaimedError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chalicelib.domain.claims import OwnedThing
    from chalicelib.domain.resources import ResourceRef
    from chalicelib.domain.rules import Rule, RuleSpec


class MemoryClaims:
    """The claims of all rules."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        self._sharers: dict[str, set[str]] = defaultdict(set)

    def owners(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, str]:
        """The rule that holds each of these; what nobody holds is left out."""
        keys = {ref: resource_key(ref) for ref in refs}
        return {ref: self._owners[key] for ref, key in keys.items() if key in self._owners}

    def take(self, rule_id: str, spec: RuleSpec) -> None:
        """All that a rule with this spec owns, or nothing. Raises AlreadyClaimedError."""
        things, shared = owned(spec), shared_ports(spec)
        mine = [t for t in shared if self._owners.get(t.key) == t.shared_as]
        self._refuse(rule_id, [*things, *(t for t in shared if t not in mine)])
        self._owners |= {t.key: rule_id for t in things} | {t.key: t.shared_as for t in shared}
        for thing in shared:
            self._sharers[thing.key].add(rule_id)

    def take_things(self, rule_id: str, things: Sequence[OwnedThing]) -> None:
        """All of these, or nothing. Raises AlreadyClaimedError."""
        self._refuse(rule_id, things)
        self._owners |= {thing.key: rule_id for thing in things}

    def give_back(self, stored: Rule, after: RuleSpec | None) -> None:
        """What a rule owned by its spec and owns no more with the next one."""
        kept = owned(after) if after else ()
        self.give_things_back(stored.id, [thing for thing in owned(stored.spec) if thing not in kept])
        still = {thing.key for thing in shared_ports(after)} if after else set()
        for thing in shared_ports(stored.spec):
            if thing.key not in still:
                self._sharers[thing.key].discard(stored.id)

    def give_things_back(self, rule_id: str, things: Iterable[OwnedThing]) -> None:
        """Those of them that it owns."""
        for thing in things:
            if self._owners.get(thing.key) == rule_id:
                del self._owners[thing.key]

    def _refuse(self, rule_id: str, things: Iterable[OwnedThing]) -> None:
        taken = {thing.words: self._owner(thing.key, rule_id) for thing in things}
        others = {words: owner for words, owner in taken.items() if owner not in {None, rule_id}}
        if others:
            raise AlreadyClaimedError({words: str(owner) for words, owner in others.items()})

    def _owner(self, key: str, rule_id: str) -> str | None:
        """Who has it; nobody where no other rule shares it any more."""
        owner = self._owners.get(key)
        return None if owner in SHARED and not self._sharers[key] - {rule_id} else owner


def check_size(before: RuleSpec | None, after: RuleSpec) -> None:
    """As in DynamoDB, where one transaction carries all that a rule has, and all that a change takes and gives back.

    Raises TooLargeError.
    """
    count = len(owned(after)) + len(shared_ports(after)) + len(links(after))
    if count > MAX_CLAIMS:
        raise TooLargeError(TOO_MANY.format(count))
    if before is None:
        return
    old, new = links(before), links(after)
    changes = len(set(owned(before)) ^ set(owned(after))) + len(set(shared_ports(after)) - set(shared_ports(before)))
    changes += len(old.rules ^ new.rules) + len(old.schedules ^ new.schedules)
    if changes > MAX_CLAIMS:
        raise TooLargeError(f"{TOO_MANY.format(changes)} What a change takes and gives back counts together.")
