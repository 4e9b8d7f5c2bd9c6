"""Discovery: which resources have the tags of which rule now. They join and leave, and the history says who and why.

Level-triggered like everything else: a look that fails or is lost costs the time until the next one, and until then
every rule keeps what it has. Unknown is not gone.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.domain.compact import compact_of
from chalicelib.domain.diagnosis import diagnosed
from chalicelib.domain.errors import AlreadyClaimedError, AutoStopError, CloudError, LostClaimError, ThrottledError
from chalicelib.domain.events import Event
from chalicelib.domain.joining import after_move, told
from chalicelib.domain.membership import NO_MEMBERS, TaggedRule, assign, candidates, pieces, shed
from chalicelib.domain.resources import ResourceRef
from chalicelib.usecases.requests import requests_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.membership import Membership, TaggedResource
    from chalicelib.domain.resources import ObservedResource, Place, ResourceKind
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import (
        BackOffs,
        Clock,
        Compute,
        EventLog,
        Ids,
        Memberships,
        ProvisionQueue,
        RuleRepository,
        WorkQueue,
    )

PAGE = 1000
READ = 100
"""Rules that are read at once."""

CHECKS = 500
"""Resources of one place that a scheduled look checks closely, one call each; who waits joins with a later look."""

CHECKS_AT_ONCE = 100
"""As CHECKS, while a person waits for the answer: API Gateway gives up after 29 s."""

MOVE_TRIES = 5
ROUND_SECONDS = 300

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DiscoveryReport:
    """What one run found and did: rules with tags, the places that they are in, and what became of them."""

    rules: int
    places: int
    unread: int
    changed: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a look at one place found: resources by id, and the members that each rule there should have."""

    resources: Mapping[str, ObservedResource] = field(default_factory=dict)
    wanted: Mapping[str, Membership] = field(default_factory=dict)


@dataclass(slots=True)
class Discover:
    """Runs on a schedule, and for one rule when people change it."""

    rules: RuleRepository
    memberships: Memberships
    computes: Mapping[ResourceKind, Compute]
    events: EventLog
    back_offs: BackOffs
    queue: WorkQueue
    clock: Clock
    ids: Ids
    provisioning: ProvisionQueue

    def run(self, only: Callable[[TaggedRule], bool] | None = None) -> DiscoveryReport:
        """Look at every place once, or for some rules alone. What goes wrong in one keeps no other from its turn."""
        groups: dict[Place, list[TaggedRule]] = defaultdict(list)
        cursor: str | None = None
        while True:
            page = self.memberships.tagged(PAGE, cursor)
            for rule in page.items:
                if only is None or only(rule):
                    groups[rule.spec.place].append(rule)
            cursor = page.next_cursor
            if cursor is None:
                break
        changed = unread = 0
        failure: Exception | None = None
        for place, group in groups.items():
            try:
                done = self._place(place, group)
            except Exception as error:
                log.exception("a place could not be looked at", extra={"place": str(place)})
                failure, done = error, None
            unread += done is None
            changed += done or 0
        if failure is not None:
            raise failure  # now that every place had its turn, for the function's error count
        return DiscoveryReport(sum(map(len, groups.values())), len(groups), unread, changed)

    def _place(self, place: Place, group: Sequence[TaggedRule]) -> int | None:
        """Look at one place; answers how many rules changed, None where AWS did not let us look."""
        try:
            seen = self._look(place, group, CHECKS)
        except ThrottledError as error:
            self.back_offs.throttled(place, self.clock.now())
            log.warning("throttled while looking for tags", extra={"place": str(place), "error": str(error)})
            return None
        except CloudError as error:
            log.warning("tags could not be looked up", extra={"place": str(place), "error": str(error)})
            if not error.retryable:
                self._unread(group, diagnosed(error.code, error.message))
            return None
        return None if seen is None else self._bring_about(group, seen)

    def one(self, rule: Rule) -> Rule:
        """Look for one rule now; answers it as it is then.

        Raises CloudError where AWS does not let us look; then it is as it was, and the schedule looks again.
        """
        if not rule.spec.tags and rule.membership == NO_MEMBERS:
            return rule
        group = [TaggedRule.of(rule)]
        seen = self._look(rule.spec.place, group, CHECKS_AT_ONCE)
        if seen is None or not self._bring_about(group, seen):
            return rule
        return self.rules.get(rule.id)

    def part(self, rule: Rule) -> Rule:
        """Let all members leave, as before the rule is of another place. Raises LostClaimError, CloudError."""
        resources = self.computes[rule.spec.kind].describe([rule.spec.ref(id_) for id_ in rule.members])
        seen = Sighting({ref.id: resource for ref, resource in resources.items()})
        return self._bring(rule, replace(rule.membership, ids=()), seen)

    # Look

    def _look(self, place: Place, group: Sequence[TaggedRule], checks: int) -> Sighting | None:
        """What is there; None while AWS is to be left alone there. Raises CloudError."""
        now = self.clock.now()
        slowed = self.back_offs.until(place)
        if slowed is not None and now < slowed:
            return None
        compute = self.computes[place.kind]
        keys = sorted({key for rule in group for key, _ in rule.spec.tags})
        found: dict[str, TaggedResource] = (
            {ref.id: tagged for ref, tagged in compute.tagged(place, keys).items()} if keys else {}
        )
        owners, checked = self._closer(place, group, found, checks)
        wanted = assign(group, found, owners, checked)
        resources = {id_: tagged.resource for id_, tagged in found.items()} | checked
        missing = {
            id_ for rule in group for id_ in rule.membership.ids if id_ not in found and id_ not in wanted[rule.id].ids
        }
        if missing:
            resources |= {ref.id: seen for ref, seen in compute.describe(_refs(place, missing)).items()}
        return Sighting(resources, wanted)

    def _closer(
        self, place: Place, group: Sequence[TaggedRule], found: Mapping[str, TaggedResource], checks: int
    ) -> tuple[dict[str, str], dict[str, ObservedResource]]:
        """Who owns what might join, and what only a call of its own tells about each that nobody owns."""
        ids = candidates(group, found)
        if not ids:
            return {}, {}
        owners = {ref.id: owner for ref, owner in self.rules.owners(_refs(place, ids)).items()}
        ours = {rule.id for rule in group}
        free = [id_ for id_ in ids if owners.get(id_) is None or owners[id_] in ours]
        known = {out.id for rule in group for out in rule.membership.left_out}
        new, again = [id_ for id_ in free if id_ not in known], [id_ for id_ in free if id_ in known]
        # Those left out before come after the new ones, each round others of them first, so that each has its turn.
        at = int(self.clock.now().timestamp() / ROUND_SECONDS) * checks % max(len(again), 1)
        some = [*new, *again[at:], *again[:at]][:checks]
        checked = self.computes[place.kind].protections(_refs(place, some)) if some else {}
        return owners, {ref.id: seen for ref, seen in checked.items()}

    # Write

    def _bring_about(self, group: Sequence[TaggedRule], seen: Sighting) -> int:
        """Move every rule whose members changed; answers how many there were. Who leaves one rule can join another."""
        differs = [rule for rule in group if rule.membership != seen.wanted[rule.id]]
        as_listed = {rule.id: rule for rule in differs}
        ids = [rule.id for rule in differs]
        fresh: dict[str, Rule] = {}
        for start in range(0, len(ids), READ):
            fresh |= self.rules.get_many(ids[start : start + READ])
        # The index may lag: what has changed since is left to the next look.
        rules = [rule for rule in fresh.values() if TaggedRule.of(rule) == as_listed[rule.id]]
        moved = self._each(rules, lambda rule: self._bring(rule, shed(rule.membership, seen.wanted[rule.id]), seen))
        moved = self._each(moved, lambda rule: self._bring(rule, seen.wanted[rule.id], seen))
        members = {rule.id: rule.members for rule in rules}
        others = [rule for rule in moved if rule.members != members[rule.id]]
        if others:
            self.queue.send(requests_for([(r.id, r.spec.place) for r in others], "members", self.clock.now()))
        return len(moved)

    def _each(self, rules: Iterable[Rule], act: Callable[[Rule], Rule]) -> list[Rule]:
        """Each in isolation: one that cannot be written now is left to the next look. Answers those that were."""
        done = []
        for rule in rules:
            try:
                done.append(act(rule))
            except AutoStopError as error:
                # Somebody else took a resource, or changed or deleted the rule, or the table refused.
                level = logging.INFO if isinstance(error, (AlreadyClaimedError, LostClaimError)) else logging.ERROR
                log.log(level, "members are left as they are", extra={"rule": rule.id, "error": str(error)})
        return done

    def _bring(self, rule: Rule, wanted: Membership, seen: Sighting) -> Rule:
        """Piece by piece, each told once it is stored. Raises LostClaimError, AlreadyClaimedError, NotFoundError."""
        steps = pieces(rule.membership, wanted)
        resources = dict(seen.resources) | (self._unseen(rule, seen) if steps else {})
        for step in steps:
            before, now = rule, self.clock.now()
            rule = self._move(rule, step, resources, now)
            self.events.append(
                [
                    Event(self.ids.new("ev"), now, kind, rule.id, "autostop", words)
                    for kind, words in told(before, rule, resources)
                ]
            )
        return rule

    def _unseen(self, rule: Rule, seen: Sighting) -> dict[str, ObservedResource]:
        """What people have just named and nobody has looked at yet: its proxy is to have its address too."""
        known = {resource.id for resource in rule.status.seen} | seen.resources.keys()
        refs = [ref for ref in rule.spec.refs if ref.id not in known]
        if not refs or rule.spec.load_balancer_id is None:
            return {}
        return {ref.id: resource for ref, resource in self.computes[rule.spec.kind].describe(refs).items()}

    def _move(self, rule: Rule, step: Membership, resources: Mapping[str, ObservedResource], now: datetime) -> Rule:
        """Store a step, however often the status is written meanwhile: that is no reason to leave anybody waiting."""
        for _ in range(MOVE_TRIES):
            after = after_move(rule, step, resources, now)
            compact = compact_of(after, resources.values()) if after.members != rule.members else None
            try:
                moved = self.memberships.move(rule, after, compact)
            except LostClaimError:
                newer = self.rules.get(rule.id)
                if TaggedRule.of(newer) != TaggedRule.of(rule):
                    raise
                rule = newer
                continue
            if compact is not None and rule.spec.load_balancer_id is not None:
                self._have_targets_put(rule.spec.load_balancer_id)
            return moved
        raise LostClaimError(rule.id)

    def _have_targets_put(self, load_balancer_id: str) -> None:
        """An ALB is told its targets; a proxy polls them. Should this fail, the sweep does it within the half-hour."""
        try:
            self.provisioning.send(load_balancer_id, at_once=True)
        except CloudError as error:
            log.warning("an ALB learns of it later", extra={"load_balancer": load_balancer_id, "problem": str(error)})

    def _unread(self, group: Sequence[TaggedRule], why: str) -> None:
        """Nobody lets us look there: each rule says so once, and keeps its members."""
        new = [rule for rule in group if rule.membership.unread != why]
        nothing = Sighting(wanted={rule.id: replace(rule.membership, unread=why) for rule in new})
        self._bring_about(new, nothing)


def _refs(place: Place, ids: Iterable[str]) -> list[ResourceRef]:
    return [ResourceRef(place.kind, place.region, id_, place.connector) for id_ in sorted(ids)]
