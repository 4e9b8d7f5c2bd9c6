"""A small account lives through days of traffic and trouble without one violation, and broken minds are caught."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.domain.decisions import Action
from chalicelib.domain.facts import Facts
from chalicelib.domain.neighbours import Neighbour
from chalicelib.domain.rules import RuleState
from chalicelib.usecases import reconcile
from scripts.simulation.run import Outcome, simulate

HOURLY = timedelta(hours=1)


def broken(monkeypatch, **world) -> Outcome:
    """What a simulation finds when each decision is made on facts that are changed like this."""
    decide = reconcile.decide
    monkeypatch.setattr(reconcile, "decide", lambda rule, facts, now: decide(rule, replace(facts, **world), now))
    return simulate(100, 2, 1)


def found(outcome: Outcome, words: str) -> bool:
    return any(words in violation.what for violation in outcome.violations)


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_small_account_lives_three_days_without_a_violation(seed):
    outcome = simulate(60, 3, seed)
    assert outcome.violations == ()
    assert int(outcome.summary["stops"].replace(",", "")) > 30, "it did something"


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_queue_that_loses_repeats_and_reorders_messages_changes_nothing(seed):
    assert simulate(60, 3, seed, chaos=True).violations == ()


@pytest.mark.parametrize("chaos", [False, True])
def test_the_records_claim_nearly_every_hour_that_was_down_and_never_more(chaos):
    for seed in (1, 2):
        words = simulate(40, 3, seed, chaos=chaos).summary["hours recorded as down"]
        claimed, truly, unknown = (int(number) for number in re.findall(r"\d+", words.replace(",", "")))
        assert claimed <= truly, words
        # What rests was last looked at up to eight hours ago: of the time since then nothing is claimed yet.
        assert claimed + unknown >= 0.98 * truly, words
        assert unknown <= 0.08 * truly, words


def test_the_same_seed_is_the_same_simulation():
    first, second = (simulate(40, 2, 7).summary | {"wall seconds": ""} for _ in range(2))
    assert first == second
    assert first != simulate(40, 2, 8).summary | {"wall seconds": ""}


def test_a_mind_that_ignores_activity_is_caught(monkeypatch):
    assert found(broken(monkeypatch, last_use=None), "stopped with activity")


def test_a_mind_that_forgets_who_needs_a_rule_is_caught(monkeypatch):
    monkeypatch.setattr(Neighbour, "needs_us", property(lambda self: self.rule.status.state is RuleState.STARTING))
    assert found(simulate(100, 2, 1), "which needs it, was")


def test_a_mind_that_does_not_wait_for_dependencies_is_caught(monkeypatch):
    assert found(broken(monkeypatch, dependencies=()), "started while its dependency")


def test_a_mind_that_ignores_schedules_is_caught(monkeypatch):
    assert found(broken(monkeypatch, schedules=()), "against a warm-up or an uptime window")


def test_a_mind_that_takes_silence_for_idleness_is_caught(monkeypatch):
    monkeypatch.setattr(Facts, "silent", lambda *_: ())
    monkeypatch.setattr(Facts, "proven_quiet", lambda *_: timedelta(days=1))
    monkeypatch.setattr(Facts, "confirm_diversion", lambda *_: True)
    assert found(simulate(100, 4, 1), "stopped blind")


def test_a_mind_that_never_backs_off_is_caught(monkeypatch):
    decide = reconcile.decide

    def impatient(rule, facts, now):
        return decide(replace(rule, status=replace(rule.status, retry_at=None)), facts, now)

    monkeypatch.setattr(reconcile, "decide", impatient)
    monkeypatch.setattr("scripts.simulation.cloud.REFUSED", 1.0)
    assert found(simulate(60, 1, 1), "start storm")


def test_a_mind_that_never_stops_anything_does_not_converge(monkeypatch):
    decide = reconcile.decide

    def lazy(rule, facts, now):
        decision = decide(rule, facts, now)
        return replace(decision, action=Action.WAIT) if decision.action is Action.STOP else decision

    monkeypatch.setattr(reconcile, "decide", lazy)
    assert found(simulate(40, 1, 1), "does not converge")
