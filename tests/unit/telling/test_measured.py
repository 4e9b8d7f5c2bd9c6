"""What reconcile tells of itself: what was decided and asked for, how long a start took, who is blind."""

from __future__ import annotations

import io
import json
import logging
from datetime import timedelta

import pytest

from chalicelib.adapters.memory.measures import RecordedMeasures
from chalicelib.domain.activity import Heartbeat
from chalicelib.domain.rules import RuleState
from chalicelib.entrypoints.logging_setup import JsonFormatter
from chalicelib.ports.measures import Measure
from chalicelib.usecases.measure_proxies import MeasureProxies
from chalicelib.usecases.subject import about, ids
from tests.unit.world import World


@pytest.fixture
def world():
    world = World()
    world.measures = RecordedMeasures()
    world.worker.measures = world.worker.tracer = world.measures
    return world


@pytest.fixture
def lines():
    """What was logged, as it would be in CloudWatch."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log, level = logging.getLogger("chalicelib"), logging.getLogger("chalicelib").level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    log.removeHandler(handler)
    log.setLevel(level)


def test_the_life_of_a_rule_is_counted(world):
    world.wake()
    world.pass_time(timedelta(minutes=2))
    assert world.state is RuleState.UP
    world.pass_time(timedelta(minutes=90))
    assert world.state is RuleState.DOWN
    world.measures.flush()
    told = {measure: world.measures.of(measure) for measure in Measure}
    assert {of for _, of in told[Measure.DECISIONS]} >= {"idle"}
    assert sum(value for value, _ in told[Measure.STARTS]) == len(world.starts()) == 1
    assert sum(value for value, _ in told[Measure.STOPS]) == len(world.stops()) == 1
    ((seconds, of),) = told[Measure.TIME_TO_UP]
    assert (of, seconds > 0) == ("ru_1", True)
    assert told[Measure.FAILURES] == []


def test_each_rule_is_a_step_of_its_own_with_what_it_came_to(world):
    world.pass_time(timedelta(minutes=3))
    name, annotations = world.measures.steps[0]
    assert (name, annotations["rule"]) == ("rule", "ru_1")
    assert annotations["state"] in {state.value for state in RuleState}
    assert "reason" in annotations


def test_a_start_that_aws_refuses_is_a_failure(world):
    world.instance.refuse_start.append(("InsufficientInstanceCapacity", "none left"))
    world.wake()
    world.pass_time(timedelta(minutes=3))
    world.measures.flush()
    assert world.measures.of(Measure.FAILURES)[0] == (1, "ru_1")


def test_a_rule_whose_proxy_has_gone_silent_is_counted_as_blind(world):
    world.wake()
    world.pass_time(timedelta(minutes=2))
    world.agent.alive = False
    world.pass_time(timedelta(minutes=90))
    world.measures.flush()
    assert {of for _, of in world.measures.of(Measure.BLIND)} == {"ru_1"}
    assert world.state is RuleState.UP


def test_a_decision_has_the_same_id_in_the_log_and_in_the_history(world, lines):
    world.wake()
    world.pass_time(timedelta(minutes=90))
    logged = {line["decision"] for line in lines() if line["message"] == "decided"}
    told = {event.id for event in world.history() if event.action is not None}
    assert told
    assert told <= logged


def test_lines_of_a_rule_carry_it_and_those_after_it_do_not(lines):
    log = logging.getLogger("chalicelib.adapters.anything")
    with about(rule="ru_1"), about(decision="ev_1"):
        log.info("inside")
    log.info("outside")
    inside, outside = lines()
    assert (inside["rule"], inside["decision"]) == ("ru_1", "ev_1")
    assert "rule" not in outside


def test_a_subject_ends_with_its_work_also_when_that_raises():
    with pytest.raises(ValueError, match="x"), about(rule="ru_1"):
        raise ValueError("x")
    assert ids() == {}


def test_of_proxies_that_are_late_it_is_told_how_late_and_the_long_gone_are_left_out(world):
    stores, clock, measures = world.stores, world.clock, world.measures
    now = clock.now()
    for member, seconds in (("i-new", 30), ("i-late", 600), ("i-gone", 4 * 3600)):
        at = now - timedelta(seconds=seconds)
        stores.proxies.beat("lb_1", Heartbeat(member, 1, at - timedelta(minutes=1), at), now, timedelta(minutes=2))
    MeasureProxies(stores.balancers, stores.proxies, measures, clock).run()
    measures.flush()
    assert measures.of(Measure.CONFIG_AGE) == [(600.0, "lb_1/i-late")]
    assert measures.of(Measure.BLIND) == [(1.0, "lb_1/i-late")]
