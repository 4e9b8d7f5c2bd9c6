"""What the metrics of an ALB prove, where traffic belongs, and what a diversion by weights has to show. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.activity import Source, Span
from chalicelib.domain.alb_traffic import (
    GUARD_ABOVE,
    MAX_SILENCE,
    NEWEST,
    Position,
    RuleTraffic,
    Weights,
    proven,
    source_of,
    with_default_guard,
)
from chalicelib.domain.decide import decide
from chalicelib.domain.drains import SETTLING, Drain
from chalicelib.domain.facts import Facts, Use
from chalicelib.domain.guards import Guard, GuardMetric, Sample
from chalicelib.domain.resources import ObservedResource, ResourceState
from chalicelib.domain.rules import RuleState, RuleStatus
from chalicelib.domain.waits import DRAIN_GIVEN_UP
from chalicelib.usecases.manage_rules import guarded
from tests.builders import make_balancer, make_rule, make_spec
from tests.unit.alb_world import FUNCTION_GROUP, PLACE, make_alb

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/as-ru-1/1"
NOW = START + 30 * MINUTE


def traffic(*weights: tuple[int, int]) -> RuleTraffic:
    each = [Weights(f"rule/{n}", ((GROUP, a), (FUNCTION_GROUP, b))) for n, (a, b) in enumerate(weights)]
    return RuleTraffic("ru_1", PLACE, tuple(each))


def points(*minutes: int, value: float = 1) -> list[Sample]:
    return [Sample(START + n * MINUTE, MINUTE, value) for n in minutes]


def prove(requests: list[Sample], lcus: list[Sample]) -> tuple[Source, object]:
    return proven(source_of(traffic((0, 100))), [requests], lcus, START, NOW)


def test_silence_counts_up_to_the_newest_minute_of_the_load_balancer_and_no_further():
    source, used = prove([], points(*range(20)))
    assert source.span == Span(START, START + 20 * MINUTE)
    assert used is None
    assert source.asked


def test_the_newest_two_minutes_never_count():
    source, _ = prove([], points(*range(30)))
    assert source.span == Span(START, NOW - NEWEST)


def test_without_any_point_of_the_load_balancer_nothing_is_proven_and_the_source_is_silent():
    source, used = prove(points(3), [])
    assert source.span is None
    assert source.is_silent(NOW)
    assert used == START + 4 * MINUTE


def test_the_last_use_is_the_end_of_the_newest_minute_with_requests_also_beyond_what_is_proven():
    _, used = prove([*points(3, 25), *points(27, value=0)], points(*range(20)))
    assert used == START + 26 * MINUTE


def test_a_load_balancer_that_went_silent_is_blind_after_ten_minutes():
    source, _ = prove([], points(*range(20)))
    assert not source.is_silent(NOW)
    assert source.is_silent(START + 20 * MINUTE + MAX_SILENCE + SECOND)


@pytest.mark.parametrize(
    ("weights", "position"),
    [
        ([(100, 0)], Position.INSTANCES),
        ([(0, 100)], Position.FUNCTION),
        ([(1, 1)], Position.MIXED),
        ([(0, 0)], Position.MIXED),
        ([(100, 0), (0, 100)], Position.MIXED),
        ([(0, 1), (0, 100)], Position.FUNCTION),
        ([], Position.MISSING),
    ],
)
def test_where_weights_send_to(weights, position):
    assert traffic(*weights).position is position


@pytest.mark.parametrize("position", [Position.INSTANCES, Position.FUNCTION])
def test_what_is_to_change_leads_there_and_nothing_more_is_changed(position):
    before = traffic((100, 0), (0, 100), (50, 50))
    changed = before.to_change(position)
    assert len(changed) == 2
    assert {weights.position(FUNCTION_GROUP) for weights in changed} == {position}


def confirmed(source: Source, since_ago: timedelta = 10 * MINUTE) -> bool:
    drain = Drain(NOW - since_ago, NOW + MINUTE, 0)
    return Facts((), (source,)).confirm_diversion(drain, NOW)


def test_a_diversion_is_confirmed_by_the_weights_and_by_a_minute_of_proof_after_it():
    seen = replace(source_of(traffic((0, 100))), span=Span(START, NOW - 10 * MINUTE + SETTLING))
    assert confirmed(seen)
    assert not confirmed(replace(seen, span=Span(START, NOW - 10 * MINUTE + SETTLING - SECOND)))
    assert not confirmed(replace(seen, diverted=False))
    assert not confirmed(replace(seen, span=None))


def test_what_confirms_comes_late_so_the_patience_with_it_is_longer_by_that():
    assert Facts((), (source_of(traffic((0, 100))),)).patience == DRAIN_GIVEN_UP + MAX_SILENCE
    assert Facts((), (Source("i-proxy", None, MINUTE),)).patience == DRAIN_GIVEN_UP


def test_a_rule_on_an_alb_gets_a_guard_on_bytes_that_is_seen_in_it_and_one_of_its_own_stays():
    assert [guard.metric for guard in guarded(make_spec(), make_alb()).guards] == [GuardMetric.NETWORK_BYTES]
    assert guarded(make_spec(), make_alb()).guards[0].above == GUARD_ABOVE
    own = make_spec(guards=(Guard(GuardMetric.NETWORK_BYTES, 5e9, 5 * MINUTE), Guard(GuardMetric.CPU, 5, 5 * MINUTE)))
    assert guarded(own, make_alb()) == own
    assert with_default_guard(with_default_guard(make_spec())) == with_default_guard(make_spec())


def test_a_rule_elsewhere_gets_none():
    assert guarded(make_spec(), make_balancer()) == make_spec()
    assert guarded(make_spec(), None) == make_spec()


def test_a_rule_in_use_is_looked_at_when_it_could_be_proven_idle_and_no_sooner():
    rule = make_rule(status=RuleStatus(RuleState.UP, since=START, up_since=START))
    used = NOW - 5 * MINUTE
    facts = Facts(
        (ObservedResource(rule.refs[0], ResourceState.RUNNING),),
        (source_of(traffic((100, 0))),),
        Use(used, "load balancer lb_alb"),
    )
    assert decide(rule, facts, NOW).until == used + rule.spec.idle + NEWEST
    of_a_proxy = replace(facts, sources=(Source("i-1", Span(START, NOW), MINUTE),))
    assert decide(rule, of_a_proxy, NOW).until == used + rule.spec.idle
