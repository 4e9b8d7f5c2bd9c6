"""What the ALBs of a group of rules tell: where traffic goes, whether targets are healthy, and who used what when."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chalicelib.domain.alb_ignored import EDGE, ignored_at
from chalicelib.domain.alb_traffic import AlbPlace, AlbSeries, Position, RuleTraffic, proven, read_from, source_of
from chalicelib.domain.decisions import Reason
from chalicelib.domain.errors import CloudError, NotFoundError, ThrottledError
from chalicelib.domain.load_balancers import LoadBalancerKind
from chalicelib.domain.routes import Ignore
from chalicelib.ports import LastActivity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chalicelib.domain.activity import Source
    from chalicelib.domain.facts import Facts
    from chalicelib.domain.guards import Sample
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import ActivityStore, AlbMetrics, AlbTraffic, LoadBalancerRepository

log = logging.getLogger(__name__)


@dataclass(slots=True)
class WatchAlbs:
    """Holds nothing between calls but which load balancers are no ALBs, which never changes."""

    balancers: LoadBalancerRepository
    traffic: AlbTraffic
    metrics: AlbMetrics
    activity: ActivityStore
    others: set[str] = field(default_factory=set)

    def look(self, rules: Sequence[Rule]) -> Mapping[str, RuleTraffic]:
        """The traffic of those of these rules that are on an ALB, by their ids.

        On one that is not made yet, or that AWS does not let us look at, nothing forwards as far as we know.
        Raises ThrottledError.
        """
        on: dict[str, list[str]] = defaultdict(list)
        for rule in rules:
            if rule.spec.load_balancer_id is not None and rule.spec.load_balancer_id not in self.others:
                on[rule.spec.load_balancer_id].append(rule.id)
        found: dict[str, RuleTraffic] = {}
        for id_, rule_ids in on.items():
            try:
                balancer = self.balancers.get(id_)
            except NotFoundError:
                continue
            if balancer.kind is not LoadBalancerKind.ALB:
                self.others.add(id_)
                continue
            found |= self._look(_place(balancer), rule_ids)
        return found

    def _look(self, place: AlbPlace, rule_ids: Sequence[str]) -> Mapping[str, RuleTraffic]:
        nothing = {id_: RuleTraffic(id_, place) for id_ in rule_ids}
        if not place.listener_arns:
            return nothing
        try:
            return self.traffic.look(place, rule_ids)
        except ThrottledError:
            raise
        except CloudError as error:
            log.warning("an ALB could not be looked at", extra={"alb": place.alb_arn, "error": str(error)})
            return nothing

    def healthy(self, traffic: RuleTraffic) -> bool | None:
        """Whether any of its targets is; None where AWS does not say. Raises ThrottledError."""
        try:
            return self.traffic.healthy(traffic)
        except ThrottledError:
            raise
        except CloudError as error:
            log.warning("target health could not be read", extra={"rule": traffic.rule_id, "error": str(error)})
            return None

    def read(
        self, rules: Sequence[tuple[Rule, Facts]], traffic: Mapping[str, RuleTraffic], now: datetime
    ) -> dict[str, Source]:
        """The sources of those rules whose metrics decide now; the metrics of the others are not paid for.

        What was used is stored before the answer: whoever then reads the activity has it beside its proof.
        """
        due = {rule.id: since for rule, facts in rules if (since := read_from(rule, facts, now)) is not None}
        used_still = self._used_still([rule for rule, _ in rules if rule.id in due], due, traffic, now)
        due = {id_: since for id_, since in due.items() if id_ not in used_still}
        asked = {id_: traffic[id_] for id_ in due}
        start = min(due.values(), default=now) - EDGE
        points = self._points(list(asked.values()), start, now)
        ignoring = {rule.id for rule, _ in rules if rule.spec.ignore != Ignore()}
        found: dict[str, Source] = {}
        for id_, of in asked.items():
            # Where nothing is known to forward, that nobody comes proves nothing.
            requests = [points.get(series, ()) for series in _requests(of)]
            lcus = points.get(_lcus(of), ()) if requests else ()
            told_apart = of.place.logged and id_ in ignoring and any(requests)
            ignored = self._ignored(of, start, now) if told_apart else None
            found[id_], used = proven(source_of(of), requests, lcus, due[id_], now, ignored)
            if used is not None:
                self.activity.seen(id_, LastActivity(found[id_].title, used))
        return found

    def _used_still(
        self, rules: Sequence[Rule], since: Mapping[str, datetime], traffic: Mapping[str, RuleTraffic], now: datetime
    ) -> set[str]:
        """Those that were in use and are it still: a request proves that without the load balancer's own metric.

        It is stored; their sources stay unasked. Of those that seem quiet everything is read again, in the order in
        which silence can be proven; of those that were not in use it would be twice in vain.
        """
        likely = [rule for rule in rules if rule.status.reason is Reason.ACTIVE and rule.spec.ignore == Ignore()]
        if not likely:
            return set()
        series = [each for rule in likely for each in _requests(traffic[rule.id])]
        points = self._read(series, min(since[rule.id] for rule in likely) - EDGE, now)
        found = set()
        for rule in likely:
            requests = [points.get(each, ()) for each in _requests(traffic[rule.id])]
            source, used = proven(source_of(traffic[rule.id]), requests, (), since[rule.id], now)
            if used is not None and now < used + rule.spec.idle:
                self.activity.seen(rule.id, LastActivity(source.title, used))
                found.add(rule.id)
        return found

    def _ignored(self, of: RuleTraffic, start: datetime, now: datetime) -> dict[datetime, int]:
        """By minutes, the requests that the access log tells of and the rule ignores. Costs one query."""
        found: dict[datetime, int] = defaultdict(int)
        begins = tuple(ignored_at(group) for group in of.instance_groups)
        for total in self.activity.history(of.rule_id, start, now):
            if total.source.startswith(begins):
                found[datetime.fromisoformat(total.minute).replace(tzinfo=UTC)] += total.requests
        return found

    def _points(
        self, traffic: Sequence[RuleTraffic], start: datetime, now: datetime
    ) -> Mapping[AlbSeries, tuple[Sample, ...]]:
        """One batched read, as one range; of what cannot be read there are no points."""
        known = [of for of in traffic if of.weights]
        if not known:
            return {}
        series = dict.fromkeys([*(_lcus(of) for of in known), *(each for of in known for each in _requests(of))])
        return self._read(list(series), start, now)

    def _read(
        self, series: Sequence[AlbSeries], start: datetime, now: datetime
    ) -> Mapping[AlbSeries, tuple[Sample, ...]]:
        try:
            return self.metrics.read(series, start, now) if series else {}
        except CloudError as error:
            log.warning("metrics of ALBs could not be read: blind", extra={"error": str(error)})
            return {}

    def put(self, traffic: RuleTraffic, position: Position) -> None:
        """Send the traffic of a rule there. Raises CloudError, also where the rule has no listener rules."""
        if position is Position.FUNCTION and not traffic.weights:
            words = f"{traffic.place.load_balancer_id} has no listener rule that forwards for {traffic.rule_id}"
            raise CloudError("RuleNotFound", words)
        self.traffic.put(traffic, position)
        log.info("weights put", extra={"rule": traffic.rule_id, "position": position.value})


def _requests(traffic: RuleTraffic) -> list[AlbSeries]:
    place = traffic.place
    return [AlbSeries(place.region, place.alb_arn, group) for group in traffic.instance_groups]


def _lcus(traffic: RuleTraffic) -> AlbSeries:
    return AlbSeries(traffic.place.region, traffic.place.alb_arn)


def _place(balancer: LoadBalancer) -> AlbPlace:
    made = balancer.provision.alb if balancer.provision else None
    if made is None or made.alb_arn is None or made.function_target_group_arn is None:
        return AlbPlace(balancer.id, balancer.region, "", (), "")
    group, wanted = made.function_target_group_arn, balancer.alb.access_logs if balancer.alb else None
    logged = wanted is not None and wanted == made.logs
    return AlbPlace(balancer.id, balancer.region, made.alb_arn, made.listener_arns, group, logged)
