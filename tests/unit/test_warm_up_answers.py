"""Races for a wake, holds, and what is kept for how long: on stores in memory, with a clock of our own."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.domain.compact import compact_rule
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.holding import PLACES
from chalicelib.domain.routes import HttpRoute
from chalicelib.domain.rules import RuleState, WhileStarting
from chalicelib.entrypoints.warm_up_words import words_of
from chalicelib.usecases.answer_traffic import DOORS_BELIEVED, AnswerTraffic, Outcome, Visit
from chalicelib.usecases.hold_traffic import HoldTraffic
from chalicelib.usecases.warm_up import WakeCause
from tests.builders import make_rule
from tests.unit.world import World

VISIT = Visit("lb_1", "app.example.com", "/")
CAUSE = WakeCause("http", "203.0.113.7", host="app.example.com")


class Front:
    """The warm-up function's use cases in a world where time passes only while somebody is held."""

    def __init__(self, **spec) -> None:
        self.world = World(**spec)
        s = self.world.stores
        w = self.world
        self.answers = AnswerTraffic(w.warm_up, s.rules, s.proxies, s.balancers, s.events, w.clock)
        self.slept = 0.0
        self.holds = HoldTraffic(self.answers, s.holds, w.clock, w.ids, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.world.pass_time(timedelta(seconds=seconds), timedelta(seconds=1))


@pytest.fixture
def front() -> Front:
    return Front()


def test_of_many_that_read_the_rule_before_the_first_wake_was_written_one_starts_it(front):
    stale = front.world.rule
    for _ in range(1_000):
        front.world.warm_up.read(stale, CAUSE)
        front.world.clock.advance(timedelta(milliseconds=1))
    woken = [event for event in front.world.history() if event.kind.value == "woken"]
    assert len(woken) == 1
    sent = []
    front.world.queue.deliver(sent.append)
    assert len(sent) == 1


def test_who_is_held_goes_on_as_soon_as_it_is_up():
    front = Front(while_starting=WhileStarting.HOLD)
    told = front.holds.hold("lb_1", front.answers.visit(VISIT))
    assert told.outcome is Outcome.UP
    assert front.world.state is RuleState.UP
    assert front.slept <= 25


def test_nobody_is_held_for_longer_than_the_function_may_run():
    front = Front(while_starting=WhileStarting.HOLD)
    front.world.cloud.start = lambda _refs: []  # AWS never answers that it runs
    told = front.answers.visit(VISIT)
    assert front.holds.hold("lb_1", told).outcome is not Outcome.UP
    assert front.slept <= 25
    front.slept = 0
    front.holds.hold("lb_1", told, timedelta(seconds=4))
    assert front.slept <= 4


def test_no_more_are_held_at_a_time_than_there_are_places():
    front = Front(while_starting=WhileStarting.HOLD)
    told = front.answers.visit(VISIT)
    until = front.world.clock.now() + timedelta(seconds=25)
    places = [front.world.stores.holds.take("lb_1", "ru_1", f"ho_{n}", until) for n in range(PLACES)]
    assert None not in places
    assert front.holds.hold("lb_1", told) is told
    assert front.slept == 0
    front.world.stores.holds.give_back("lb_1", "ru_1", "ho_3", 3)
    assert front.holds.hold("lb_1", told).outcome is Outcome.UP


def test_only_hold_holds(front):
    told = front.answers.visit(VISIT)
    assert not told.holds
    assert front.holds.hold("lb_1", told) is told


def test_a_rule_that_moved_to_another_host_is_found_there_and_nowhere_else(front):
    assert front.answers.visit(VISIT).outcome is Outcome.STARTING
    front.world.change("ru_1", http=(HttpRoute(("new.example.com",), target_port=8080),))
    assert front.answers.visit(VISIT).outcome is Outcome.UNKNOWN
    assert front.answers.visit(Visit("lb_1", "new.example.com", "/")).outcome is Outcome.STARTING


def test_a_rule_that_is_new_is_found_soon_and_strangers_do_not_have_the_doors_read_for_each_request(front):
    asked = []
    rules = front.world.stores.proxies.rules
    front.world.stores.proxies.rules = lambda id_: asked.append(id_) or rules(id_)
    new = Visit("lb_1", "new.example.com", "/")
    for _ in range(100):
        assert front.answers.visit(new).outcome is Outcome.UNKNOWN
    assert len(asked) == 1
    front.world.change("ru_1", http=(HttpRoute(("new.example.com",), target_port=8080),))
    front.world.clock.advance(DOORS_BELIEVED)
    assert front.answers.visit(new).outcome is Outcome.STARTING


def test_a_rule_in_place_of_another_is_found_at_once(front):
    assert front.answers.visit(VISIT).outcome is Outcome.STARTING
    front.world.stores.rules.delete(front.world.rule)
    rule = make_rule("ru_2")
    front.world.stores.rules.create(rule, compact_rule("ru_2", rule.spec, []))
    assert front.answers.visit(VISIT).rule.id == "ru_2"


def test_a_rule_that_is_gone_is_nobodys_at_once(front):
    assert front.answers.visit(VISIT).outcome is Outcome.STARTING
    front.world.stores.rules.delete(front.world.rule)
    assert front.answers.visit(VISIT).outcome is Outcome.UNKNOWN


def test_who_waits_is_told_to_ask_again_when_a_start_is_usually_over(front):
    now = front.world.clock.now()
    events = [
        Event(f"ev_x{n}", now - timedelta(days=1), EventKind.STATE_CHANGED, "ru_1", "autostop", "up", seconds=seconds)
        for n, seconds in enumerate((40.0, 20.0, 900.0))
    ]
    front.world.stores.events.append(events)
    assert front.answers.expected(front.answers.visit(VISIT)) is None, "in a burst nobody reads it"
    front.world.work()
    told = front.answers.visit(VISIT)
    assert told.outcome is Outcome.STARTING
    assert front.answers.expected(told) == 40
    front.world.clock.advance(timedelta(seconds=28))
    told = front.answers.visit(VISIT)
    words = words_of(told, "app.example.com", front.world.clock.now(), front.answers.expected(told))
    assert words.retry_after == 12
