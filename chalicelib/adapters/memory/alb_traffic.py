"""Elastic Load Balancing and its metrics in memory: weights that reach the nodes late, health, and late points."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.alb_traffic import WEIGHT, Position, RuleTraffic, Weights
from chalicelib.domain.errors import CloudError
from chalicelib.domain.guards import Sample
from chalicelib.domain.resources import ResourceState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from chalicelib.adapters.memory.clock import VirtualClock
    from chalicelib.adapters.memory.cloud import FakeCloud
    from chalicelib.domain.alb_traffic import AlbPlace, AlbSeries
    from chalicelib.domain.resources import ResourceRef

MINUTE = timedelta(minutes=1)
BATCH = 500


@dataclass(slots=True)
class _Rule:
    """A listener rule of ours; `targets` are the instances behind the group that is not the function's.

    The nodes serve by `before` until `served_at`.
    """

    listener_arn: str
    rule_id: str
    weights: Weights
    targets: tuple[ResourceRef, ...]
    before: Weights
    served_at: datetime


@dataclass
class FakeAlbTraffic:
    """Implements AlbTraffic. A target is healthy when its instance runs and `accepts`."""

    cloud: FakeCloud
    clock: VirtualClock
    settles: timedelta = timedelta(seconds=10)
    """How long the nodes take to serve by what was put."""
    rules: dict[str, _Rule] = field(default_factory=dict)
    accepts: bool = True
    calls: Counter[str] = field(default_factory=Counter)
    fail_next: deque[CloudError] = field(default_factory=deque)
    refuse_next: deque[CloudError] = field(default_factory=deque)
    """What AWS says to the next changes of weights."""

    def add(self, place: AlbPlace, rule_id: str, targets: Sequence[ResourceRef], listener_arn: str = "") -> str:
        """A listener rule as it is made: everything to the instances; answers its ARN."""
        listener = listener_arn or place.listener_arns[0]
        arn = f"{listener.replace(':listener/', ':listener-rule/')}/{len(self.rules):016x}"
        group = f"arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/as-{rule_id.replace('_', '-')}/{1:016x}"
        weights = Weights(arn, ((group, WEIGHT), (place.function_group, 0)))
        self.rules[arn] = _Rule(listener, rule_id, weights, tuple(targets), weights, self.clock.now())
        return arn

    def position(self, place: AlbPlace, rule_id: str) -> Position:
        """Where what comes goes now."""
        weights = tuple(rule.weights for rule in self.rules.values() if rule.rule_id == rule_id)
        return RuleTraffic(rule_id, place, weights).position

    def serves(self, place: AlbPlace, rule_id: str) -> Position:
        """Where the nodes send what comes now."""
        now = self.clock.now()
        rules = [rule for rule in self.rules.values() if rule.rule_id == rule_id]
        weights = tuple(rule.weights if now >= rule.served_at else rule.before for rule in rules)
        return RuleTraffic(rule_id, place, weights).position

    def look(self, place: AlbPlace, rule_ids: Sequence[str]) -> Mapping[str, RuleTraffic]:
        self.calls["look"] += 1
        if self.fail_next:
            raise self.fail_next.popleft()
        found: dict[str, list[Weights]] = {id_: [] for id_ in rule_ids}
        for rule in self.rules.values():
            if rule.rule_id in found and rule.listener_arn in place.listener_arns:
                found[rule.rule_id].append(rule.weights)
        return {id_: RuleTraffic(id_, place, tuple(weights)) for id_, weights in found.items()}

    def healthy(self, traffic: RuleTraffic) -> bool | None:
        self.calls["healthy"] += 1
        if self.fail_next:
            raise self.fail_next.popleft()
        targets = {ref for weights in traffic.weights for ref in self.rules[weights.arn].targets}
        states = [self.cloud.instances[ref].state for ref in targets]
        return any(self.accepts and state is ResourceState.RUNNING for state in states) if states else None

    def put(self, traffic: RuleTraffic, position: Position) -> None:
        for weights in traffic.to_change(position):
            self.calls["put"] += 1
            if self.refuse_next:
                raise self.refuse_next.popleft()
            if weights.arn not in self.rules:
                raise CloudError("RuleNotFound", weights.arn)
            rule = self.rules[weights.arn]
            rule.before, rule.weights, rule.served_at = rule.weights, weights, self.clock.now() + self.settles


class FakeAlbMetrics:
    """Implements AlbMetrics: LCUs for each whole minute, requests for those that had any, both `lag` late.

    `through` stands for a CloudWatch that has got nothing later than that.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._requests: dict[str, Counter[datetime]] = defaultdict(Counter)
        self.lag = timedelta(minutes=2)
        self.through: datetime | None = None
        self.calls = 0
        self.asked: list[AlbSeries] = []
        self.fail_next: deque[CloudError] = deque()

    def request(self, group_arn: str) -> None:
        """One arrives at this target group now."""
        self._requests[group_arn][_minute(self._clock.now())] += 1

    def read(
        self, series: Sequence[AlbSeries], start: datetime, end: datetime
    ) -> Mapping[AlbSeries, tuple[Sample, ...]]:
        wanted = dict.fromkeys(series)
        self.calls += sum(-(-count // BATCH) for count in Counter(each.region for each in wanted).values())
        self.asked += list(wanted)
        if self.fail_next:
            raise self.fail_next.popleft()
        newest = self._clock.now() - self.lag
        last = min(_minute(end), newest if self.through is None else min(newest, self.through))
        return {each: tuple(self._points(each, _minute(start), last)) for each in series}

    def _points(self, series: AlbSeries, first: datetime, last: datetime) -> list[Sample]:
        minutes = [first + n * MINUTE for n in range(max(int((last - first) / MINUTE), 0))]
        if series.group_arn is None:
            return [Sample(at, MINUTE, 0.001) for at in minutes]
        counts = self._requests[series.group_arn]
        return [Sample(at, MINUTE, counts[at]) for at in minutes if counts[at]]


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
