"""`decide()` for 10,000 rules that are up, with a proxy that watches and activity in different ages.

Once plain, and once each with two weekly schedules, one dependency and one guard. The schedules are shared, a
hundred of them: the week of a schedule is worked out once in a process (0.13 ms), and is not what is measured here.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chalicelib.domain.activity import Source, Span
from chalicelib.domain.decide import decide
from chalicelib.domain.facts import Facts, Use
from chalicelib.domain.guards import Guard, GuardMetric, GuardReading
from chalicelib.domain.neighbours import Neighbour
from chalicelib.domain.resources import ObservedResource, ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.routes import HttpRoute
from chalicelib.domain.rules import DependsOn, Rule, RuleSpec, RuleState, RuleStatus
from chalicelib.domain.schedules import Schedule, ScheduleKind
from chalicelib.domain.wall_time import Weekday, WeeklyWindow
from scripts.benches.report import report

RULES = 10_000
RUNS = 5
SCHEDULES = 50
"""In each of two zones."""


def run() -> None:
    """The best of five runs: what the code costs, not what the machine was doing."""
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    for suffix, case in (("", _case), ("_scheduled", _scheduled)):
        cases = [case(n, now) for n in range(RULES)]
        best = min(_timed(cases, now) for _ in range(RUNS))
        report("decide", f"decide{suffix}_us", best / RULES * 1e6, "us")
        report("decide", f"decide{suffix}_10000_s", best, "s")


def _timed(cases: list[tuple[Rule, Facts]], now: datetime) -> float:
    began = time.process_time()
    for rule, facts in cases:
        decide(rule, facts, now)
    return time.process_time() - began


def _case(n: int, now: datetime) -> tuple[Rule, Facts]:
    ref = ResourceRef(ResourceKind.EC2, "us-east-1", f"i-{n:08x}")
    spec = RuleSpec(
        f"rule {n}",
        timedelta(minutes=15),
        ResourceKind.EC2,
        "us-east-1",
        (ref.id,),
        load_balancer_id="lb_1",
        http=(HttpRoute((f"h{n}.example.com",)),),
    )
    status = RuleStatus(RuleState.UP, up_since=now - timedelta(hours=2), since=now - timedelta(hours=2), due_at=now)
    span = Span(now - timedelta(hours=2), now - timedelta(seconds=20))
    source = Source("i-proxy", span, timedelta(minutes=3))
    used = Use(now - timedelta(seconds=n % 1800), "proxy i-proxy")
    facts = Facts((ObservedResource(ref, ResourceState.RUNNING, "10.0.0.1"),), (source,), used, healthy=True)
    return Rule(f"ru_{n}", spec, status, 1, 1, now, now), facts


def _scheduled(n: int, now: datetime) -> tuple[Rule, Facts]:
    """Two schedules in two zones, neither in a window, so that everything below them is asked as well."""
    rule, facts = _case(n, now)
    evenings = (WeeklyWindow(tuple(Weekday)[:5], 20 * 3600, 22 * 3600),)
    schedules = tuple(
        Schedule(f"sc_{n % SCHEDULES}_{zone}", "evenings", ScheduleKind.UPTIME, zone, 1, now, now, weekly=evenings)
        for zone in ("Europe/Berlin", "Europe/Lisbon")
    )
    guard = Guard(GuardMetric.CPU, 20, timedelta(minutes=10))
    below, _ = _case(n + RULES, now)
    spec = replace(rule.spec, depends_on=(DependsOn(below.id, timedelta(0)),), guards=(guard,))
    reading = GuardReading(guard, vetoes=False, words="quiet", covers_until=now)
    return replace(rule, spec=spec), replace(
        facts, schedules=schedules, dependencies=(Neighbour(below),), guards=(reading,)
    )
