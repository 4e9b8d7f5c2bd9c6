"""Observe: gather the facts around rules, once for a whole group where AWS lets us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.facts import Facts, Use
from chalicelib.domain.resources import ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.rules import RuleState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.activity import Source
    from chalicelib.domain.resources import ObservedResource
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import ActivityFacts, ActivityStore, Compute, ProxyStore

NEEDS_HEALTH = frozenset({RuleState.STARTING, RuleState.FAILED})


@dataclass(slots=True)
class Observer:
    """Reads what `decide` needs. It holds nothing between calls."""

    activity: ActivityStore
    proxies: ProxyStore
    computes: Mapping[ResourceKind, Compute]

    def resources(self, rules: Sequence[Rule]) -> dict[ResourceRef, ObservedResource]:
        """Describe the resources of rules of one kind, and the proxies that watch them, in one go."""
        found: dict[ResourceRef, ObservedResource] = {}
        for kind in {rule.spec.kind for rule in rules}:
            of_kind = [rule for rule in rules if rule.spec.kind is kind]
            refs = sorted({ref for rule in of_kind for ref in rule.spec.refs})
            unprobed = any(r.spec.load_balancer_id is None and r.status.state in NEEDS_HEALTH for r in of_kind)
            found |= self.computes[kind].describe(refs, status_checks=unprobed)
        return found

    def facts(self, rule: Rule, resources: Mapping[ResourceRef, ObservedResource], now: datetime) -> Facts:
        """Put the facts of one rule together. Costs one query for activity and one for the proxy's members."""
        known = self.activity.facts(rule.id)
        sources: tuple[Source, ...] = ()
        if rule.spec.load_balancer_id is not None:
            sources = self._live(self.proxies.sources(rule.spec.load_balancer_id), rule, now)
        own = tuple(resources[ref] for ref in rule.spec.refs if ref in resources)
        healthy, health_source = self._health(rule, known, own, sources)
        return Facts(own, sources, last_use(rule, known), healthy, health_source)

    def _live(self, sources: Sequence[Source], rule: Rule, now: datetime) -> tuple[Source, ...]:
        """Leave out silent members of which AWS says that they are gone; any other silence is ignorance."""
        silent = [source for source in sources if source.is_silent(now) and source.name.startswith("i-")]
        compute = self.computes.get(ResourceKind.EC2)
        if not silent or compute is None:
            return tuple(sources)
        refs = [ResourceRef(ResourceKind.EC2, rule.spec.region, source.name) for source in silent]
        observed = compute.describe(refs)
        gone = {ref.id for ref, seen in observed.items() if seen.state in {ResourceState.GONE, ResourceState.STOPPED}}
        return tuple(source for source in sources if source.name not in gone)

    def _health(
        self, rule: Rule, known: ActivityFacts, own: Iterable[ObservedResource], sources: Sequence[Source]
    ) -> tuple[bool | None, str | None]:
        """The verdict since the last start: the proxy's probe, or EC2's status checks where there is no prober."""
        if rule.spec.load_balancer_id is None:
            verdicts = [resource.status_ok for resource in own if resource.state is ResourceState.RUNNING]
            if not verdicts or any(verdict is None for verdict in verdicts):
                return None, None
            return all(verdicts), "ec2 status checks"
        since = rule.status.start_requested_at
        members = {source.name for source in sources}
        fresh = [h for h in known.health if h.member in members and (since is None or h.at >= since)]
        if not fresh:
            return None, None
        newest = max(fresh, key=lambda health: health.at)
        return newest.accepts, f"proxy {newest.member}"


def last_use(rule: Rule, known: ActivityFacts) -> Use | None:
    """The newest use that anything has told us of: a source's activity, or a wake."""
    uses = [Use(last.at, last.source) for last in known.last]
    if rule.status.woken_at is not None:
        uses.append(Use(rule.status.woken_at, rule.status.woken_by or "wake"))
    return max(uses, key=lambda use: use.at, default=None)
