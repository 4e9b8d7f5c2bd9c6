"""Observe: gather the facts around rules, once for a whole group where the world lets us.

The order is part of the evidence. Whoever stores activity stores what was used before what that proves (ingest), so
whoever reads must read the proof first: a watermark read after the activity could cover a use that was not read.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.domain.account import AccountSettings
from chalicelib.domain.alb_traffic import source_of
from chalicelib.domain.facts import Facts
from chalicelib.domain.neighbours import Neighbour
from chalicelib.domain.resources import ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.rules import RuleState
from chalicelib.domain.schedules import recurring
from chalicelib.domain.wish import waits_for_guards
from chalicelib.ports import LastActivity
from chalicelib.usecases.last_use import HEARTBEAT, last_use
from chalicelib.usecases.metric_sources import MetricReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.activity import Source
    from chalicelib.domain.alb_traffic import RuleTraffic
    from chalicelib.domain.flow_logs import Interface
    from chalicelib.domain.guards import GuardReading
    from chalicelib.domain.metric_sources import Watched
    from chalicelib.domain.resources import ObservedResource
    from chalicelib.domain.rules import Rule
    from chalicelib.domain.schedules import Recurrences, Schedule
    from chalicelib.ports import (
        AccountStore,
        ActivityFacts,
        ActivityStore,
        Compute,
        ProxyStore,
        RuleRepository,
        ScheduleRepository,
    )
    from chalicelib.usecases.guards import GuardReader
    from chalicelib.usecases.watch_albs import WatchAlbs
    from chalicelib.usecases.watch_flows import WatchFlows

NEEDS_HEALTH = frozenset({RuleState.STARTING, RuleState.FAILED})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a group of rules shares: resources, activity sources by load balancer, schedules, the rules around them."""

    resources: Mapping[ResourceRef, ObservedResource]
    sources: Mapping[str, tuple[Source, ...]]
    schedules: Mapping[str, Schedule]
    neighbours: Mapping[str, Rule]
    guards: Mapping[str, tuple[GuardReading, ...]] = field(default_factory=dict)
    account: AccountSettings = field(default_factory=AccountSettings)
    traffic: Mapping[str, RuleTraffic] = field(default_factory=dict)
    """Of the rules on ALBs, by their ids; and so are the two below."""
    counted: Mapping[str, Source] = field(default_factory=dict)
    targets_healthy: Mapping[str, bool | None] = field(default_factory=dict)
    restarted_by_aws: bool = False
    measured: Mapping[str, Watched] = field(default_factory=dict)
    """What metrics say of rules that have them as a source, by their ids."""
    interfaces: Mapping[str, tuple[Interface, ...]] = field(default_factory=dict)
    """Of rules that have flow logs as a source, by their ids."""

    def of(self, rule: Rule) -> tuple[Source, ...]:
        """The sources of one rule: its load balancer's, or its own."""
        if rule.id in self.traffic:
            return (self.counted.get(rule.id) or source_of(self.traffic[rule.id]),)
        if rule.id in self.measured:
            return self.measured[rule.id].sources
        return self.sources.get(rule.spec.load_balancer_id or "", ())


@dataclass(slots=True)
class Observer:
    """Reads what `decide` needs. It holds nothing between calls."""

    activity: ActivityStore
    proxies: ProxyStore
    computes: Mapping[ResourceKind, Compute]
    rules: RuleRepository
    schedules: ScheduleRepository
    recurrences: Recurrences
    guards: GuardReader
    account: AccountStore
    albs: WatchAlbs
    flows: WatchFlows

    def look(self, rules: Sequence[Rule], now: datetime) -> Surroundings:
        """One look for a group: one query for each load balancer, and describes as batched as AWS allows.

        Raises CloudError.
        """
        schedule_ids = sorted({id_ for rule in rules for id_ in rule.spec.schedule_ids})
        neighbour_ids = sorted({id_ for rule in rules for id_ in (*rule.dependents, *needs(rule))})
        neighbours: dict[str, Rule] = {}
        for start in range(0, len(neighbour_ids), 100):
            neighbours |= self.rules.get_many(neighbour_ids[start : start + 100])
        traffic = self.albs.look(rules)
        sources = self._sources([rule for rule in rules if rule.id not in traffic], now)
        resources = self._resources(rules, sources)
        seen = Surroundings(
            resources,
            sources,
            self.schedules.get_many(schedule_ids) if schedule_ids else {},
            neighbours,
            account=self.account.settings(),
            traffic=traffic,
            targets_healthy=self._targets_healthy(rules, resources, traffic) if traffic else {},
            measured=self._measured(rules, resources, now),
            interfaces=self.flows.look(rules, resources, now),
        )
        if traffic:
            behind = [(rule, self.facts(rule, seen, now)) for rule in rules if rule.id in traffic and rule.spec.enabled]
            seen = replace(seen, counted=self.albs.read(behind, traffic, now))
        guards = self._guards(rules, seen, now)
        return replace(seen, guards=guards) if guards else seen

    def facts(self, rule: Rule, seen: Surroundings, now: datetime) -> Facts:
        """Put the facts of one rule together; costs one query for its activity, read after the proof in `seen`."""
        known = self.activity.facts(rule.id)
        sources = seen.of(rule)
        if rule.id in seen.interfaces:
            sources += self.flows.sources(seen.interfaces[rule.id], known.flows, now)
        found = (seen.resources.get(ref) for ref in rule.refs)
        own = tuple(resource for resource in found if resource is not None)
        healthy: bool | None
        health_source: str | None
        if rule.id in seen.traffic:
            healthy, health_source = seen.targets_healthy.get(rule.id), "target group"
        else:
            healthy, health_source = _health(rule, known, own, sources)
        schedules = tuple(seen.schedules[id_] for id_ in rule.spec.schedule_ids if id_ in seen.schedules)
        around = seen.neighbours
        return Facts(
            own,
            sources,
            last_use(rule, known),
            healthy,
            health_source,
            schedules,
            recurring(schedules, now, self.recurrences) if schedules else {},
            tuple(Neighbour(around[id_]) for id_ in rule.dependents if id_ in around),
            tuple(Neighbour(around[n.rule_id], n.delay) for n in rule.spec.depends_on if n.rule_id in around),
            max((last.at for last in known.last if last.source == HEARTBEAT), default=None),
            seen.guards.get(rule.id),
            seen.account.paused,
            seen.restarted_by_aws,
        )

    def _measured(
        self, rules: Sequence[Rule], resources: Mapping[ResourceRef, ObservedResource], now: datetime
    ) -> dict[str, Watched]:
        """What was used is stored first: whoever then reads the activity has it beside its proof."""
        found = MetricReader(self.guards.metrics).read(rules, resources, now)
        for id_, watched in found.items():
            if watched.last_use is not None:
                self.activity.seen(id_, LastActivity(watched.last_use.source, watched.last_use.at))
        return found

    def _targets_healthy(
        self,
        rules: Sequence[Rule],
        resources: Mapping[ResourceRef, ObservedResource],
        traffic: Mapping[str, RuleTraffic],
    ) -> dict[str, bool | None]:
        """Of the rules on ALBs that wait for it and run: a call for each, so nobody else is asked."""
        found = {}
        for rule in rules:
            if rule.id in traffic and rule.status.state in NEEDS_HEALTH:
                states = {resources[ref].state for ref in rule.refs if ref in resources}
                if ResourceState.RUNNING in states:
                    found[rule.id] = self.albs.healthy(traffic[rule.id])
        return found

    def _guards(self, rules: Sequence[Rule], seen: Surroundings, now: datetime) -> dict[str, tuple[GuardReading, ...]]:
        """The guards of the rules that would be stopped but for them: nobody else's are worth their price."""
        asked = []
        for rule in rules:
            if rule.spec.guards:
                facts = self.facts(rule, seen, now)
                if waits_for_guards(rule, facts, now):
                    asked.append((rule, facts))
        return self.guards.read(asked, now) if asked else {}

    def _resources(
        self, rules: Sequence[Rule], sources: Mapping[str, Sequence[Source]]
    ) -> dict[ResourceRef, ObservedResource]:
        found: dict[ResourceRef, ObservedResource] = {}
        for kind in {rule.spec.kind for rule in rules}:
            of_kind = [rule for rule in rules if rule.spec.kind is kind]
            refs = sorted({ref for rule in of_kind for ref in rule.refs})
            unprobed = any(
                r.status.state in NEEDS_HEALTH and not _probed(r, sources.get(r.spec.load_balancer_id or "", ()))
                for r in of_kind
            )
            found |= self.computes[kind].describe(refs, status_checks=unprobed)
        return found

    def _sources(self, rules: Sequence[Rule], now: datetime) -> dict[str, tuple[Source, ...]]:
        regions = {r.spec.load_balancer_id: r.spec.region for r in rules if r.spec.load_balancer_id is not None}
        known = {id_: tuple(self.proxies.sources(id_)) for id_ in regions}
        silent = {
            (id_, ResourceRef(ResourceKind.EC2, regions[id_], source.name))
            for id_, sources in known.items()
            for source in sources
            if source.is_silent(now) and source.name.startswith("i-")
        }
        gone = self._gone({ref for _, ref in silent})
        left_out = {(id_, ref.id) for id_, ref in silent if ref in gone}
        return {id_: tuple(s for s in sources if (id_, s.name) not in left_out) for id_, sources in known.items()}

    def _gone(self, members: set[ResourceRef]) -> set[ResourceRef]:
        """The members of which AWS says that they are gone: only they stop counting, any other silence is ignorance."""
        compute = self.computes.get(ResourceKind.EC2)
        if not members or compute is None:
            return set()
        observed = compute.describe(sorted(members))
        return {ref for ref, seen in observed.items() if seen.state in {ResourceState.GONE, ResourceState.STOPPED}}


def needs(rule: Rule) -> tuple[str, ...]:
    """The ids of the rules that it depends on."""
    return tuple(need.rule_id for need in rule.spec.depends_on)


def _health(
    rule: Rule, known: ActivityFacts, own: Iterable[ObservedResource], sources: Sequence[Source]
) -> tuple[bool | None, str | None]:
    """The verdict since the last start: the proxy's probe, or EC2's status checks where there is no prober."""
    since = rule.status.start_requested_at
    members = {source.name for source in sources}
    fresh = [h for h in known.health if h.member in members and (since is None or h.at >= since)]
    if not fresh and not _probed(rule, sources):
        verdicts = [resource.status_ok for resource in own if resource.state is ResourceState.RUNNING]
        if not verdicts or any(verdict is None for verdict in verdicts):
            return None, None
        return all(verdicts), "ec2 status checks" if rule.spec.kind is ResourceKind.EC2 else "rds status"
    if not fresh:
        return None, None
    newest = max(fresh, key=lambda health: health.at)
    return newest.accepts, f"proxy {newest.member}"


def _probed(rule: Rule, sources: Sequence[Source]) -> bool:
    """Whether anybody can say that its targets accept: an Envoy without our agent does not."""
    return rule.spec.load_balancer_id is not None and (not sources or any(source.diverts for source in sources))
