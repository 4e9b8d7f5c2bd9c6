"""`decide()` for 10,000 rules that are up, with a proxy that watches and activity in different ages."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from chalicelib.domain.activity import Source, Span
from chalicelib.domain.decide import decide
from chalicelib.domain.facts import Facts, Use
from chalicelib.domain.resources import ObservedResource, ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.rules import HttpRoute, Rule, RuleSpec, RuleState, RuleStatus
from scripts.benches.report import report

RULES = 10_000
RUNS = 5


def run() -> None:
    """The best of five runs: what the code costs, not what the machine was doing."""
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    cases = [_case(n, now) for n in range(RULES)]
    best = min(_timed(cases, now) for _ in range(RUNS))
    report("decide", "decide_us", best / RULES * 1e6, "us")
    report("decide", "decide_10000_s", best, "s")


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
