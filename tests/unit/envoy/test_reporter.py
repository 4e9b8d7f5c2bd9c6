"""Reports: on change, at most every ten seconds; at once what is waited for; again what may have been missed."""

from __future__ import annotations

import asyncio

import pytest

from chalicelib import __version__
from chalicelib.agent.reporter import MOST_RULES, REFRESH, VERSION_REFRESH, Reporter
from chalicelib.agent.verifier import Outcome
from tests.unit.envoy.fakes import FakePlane, HandClock, believe, site


class Bench:
    def __init__(self, rules: int = 3) -> None:
        self.clock, self.plane = HandClock(), FakePlane()
        self.beliefs = believe(self.clock, *(site(f"ru_{n}") for n in range(rules)))
        self.reporter = Reporter("i-1", self.plane, self.beliefs, self.clock)

    def see(self, rule: str, accepts: bool, pressing: bool = False) -> None:
        belief = self.beliefs.of[rule]
        changed = belief.accepts != accepts
        belief.accepts, belief.seen_at = accepts, self.clock.now()
        self.reporter.verdict(rule, changed, pressing)

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        end = self.clock.elapsed + seconds
        while self.clock.elapsed < end:
            self.clock.pass_time(step)
            asyncio.run(self.reporter.turn())

    @property
    def told(self) -> list[set[str]]:
        return [{rule["id"] for rule in report["rules"]} for report in self.plane.reports]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    for n in range(3):
        bench.see(f"ru_{n}", False)
    bench.pass_time(1)
    assert bench.told == [{"ru_0", "ru_1", "ru_2"}]
    bench.plane.reports.clear()
    return bench


def test_nothing_is_sent_while_nothing_changes(bench):
    bench.pass_time(600)
    assert bench.told == []


def test_only_what_changed_is_sent_and_at_most_every_ten_seconds(bench):
    bench.see("ru_1", True)
    bench.pass_time(5)
    assert bench.told == []
    bench.see("ru_2", True)
    bench.pass_time(5)
    assert bench.told == [{"ru_1", "ru_2"}]


def test_after_a_quiet_time_a_change_is_sent_at_once(bench):
    bench.pass_time(30)
    bench.see("ru_1", True)
    bench.pass_time(0.5)
    assert bench.told == [{"ru_1"}]


def test_what_somebody_waits_for_is_sent_at_once_but_once_a_second(bench):
    bench.see("ru_1", True, pressing=True)
    bench.pass_time(0.5)
    assert bench.told == [{"ru_1"}]
    bench.see("ru_2", True, pressing=True)
    bench.pass_time(0.5)
    assert len(bench.told) == 1
    bench.pass_time(0.5)
    assert bench.told == [{"ru_1"}, {"ru_2"}]


def test_what_changed_back_before_it_was_told_is_no_news(bench):
    bench.see("ru_1", True)
    bench.see("ru_1", False)
    bench.pass_time(30)
    assert bench.told == []


def test_a_report_that_failed_is_sent_with_the_next(bench):
    bench.plane.away = True
    bench.see("ru_1", True)
    bench.pass_time(20)
    bench.plane.away = False
    bench.see("ru_2", True)
    bench.pass_time(20)
    assert bench.told == [{"ru_1", "ru_2"}]


def test_what_accepts_is_told_again_before_four_minutes_and_not_all_at_once():
    bench = Bench(200)
    for n in range(200):
        bench.see(f"ru_{n}", n % 2 == 0)
    bench.pass_time(10)
    first = bench.plane.reports.pop()
    assert len(first["rules"]) == 200
    bench.pass_time(REFRESH - 10)
    assert set().union(*bench.told) == {f"ru_{n}" for n in range(0, 200, 2)}
    assert max(map(len, bench.told)) < 60


def test_after_an_answered_wake_the_next_verdict_is_told_though_it_did_not_change(bench):
    bench.reporter.asked("ru_1")
    bench.pass_time(5)
    assert bench.told == []
    bench.see("ru_1", False)
    bench.pass_time(0.5)
    assert bench.told == [{"ru_1"}]
    bench.see("ru_1", False)
    bench.pass_time(30)
    assert len(bench.told) == 1


def test_what_accepts_after_a_wake_is_told_twice_because_the_start_may_be_later_than_the_first(bench):
    bench.beliefs.of["ru_1"].woken = bench.clock.monotonic()
    bench.see("ru_1", True, pressing=True)
    bench.pass_time(30)
    assert bench.told == [{"ru_1"}, {"ru_1"}]


def test_an_outcome_is_sent_at_once_and_until_it_has_arrived(bench):
    bench.plane.away = True
    bench.reporter.outcome(Outcome("r2.s3", bench.clock.now()))
    bench.pass_time(3)
    bench.plane.away = False
    bench.pass_time(60)
    (report,) = bench.plane.reports
    assert (report["config"], report["rules"]) == ("r2.s3", [])
    assert report["applied"]["at"] == "2026-01-05T08:00:01.000Z"


def test_a_rejection_names_the_configuration_that_was_rejected(bench):
    bench.reporter.outcome(Outcome("r9.s9", bench.clock.now(), ("tcp-1: cannot bind",)))
    bench.pass_time(1)
    (report,) = bench.plane.reports
    assert report["config"] == "r9.s9"
    assert report["rejected"]["errors"] == ["tcp-1: cannot bind"]
    assert "applied" not in report


def test_a_rejection_does_not_hide_what_was_applied_before_it_and_newer_ones_replace_older_ones(bench):
    now = bench.clock.now()
    outcomes = (
        Outcome("r1.s1", now),
        Outcome("r1.s2", now),
        Outcome("r2.s2", now, ("no",)),
        Outcome("r3.s2", now, ("no",)),
    )
    for outcome in outcomes:
        bench.reporter.outcome(outcome)
    bench.pass_time(30)
    assert [report["config"] for report in bench.plane.reports] == ["r1.s2", "r3.s2"]


def test_two_thousand_rules_are_told_in_pieces():
    bench = Bench(MOST_RULES + 100)
    for n in range(MOST_RULES + 100):
        bench.see(f"ru_{n}", False)
    bench.pass_time(20)
    assert [len(told) for told in bench.told] == [MOST_RULES, 100]


def test_rules_that_are_gone_are_forgotten(bench):
    bench.see("ru_1", True)
    bench.beliefs.adopt(believe(bench.clock, site("ru_0")).config, '"r2.s2"', bench.clock.now())
    bench.pass_time(300)
    assert bench.told == []


def test_certificates_are_told_when_they_change_and_until_they_have_arrived(bench):
    bench.plane.away = True
    bench.reporter.secrets([{"arn": "a", "status": "missing"}])
    bench.pass_time(5)
    bench.plane.away = False
    bench.pass_time(60)
    assert [report["secrets"] for report in bench.plane.reports] == [[{"arn": "a", "status": "missing"}]]
    bench.reporter.secrets([])
    bench.pass_time(5)
    assert bench.plane.reports[-1]["secrets"] == []


def test_the_version_of_the_agent_goes_with_the_first_report_and_is_told_again_every_hour():
    bench = Bench()
    bench.plane.away = True
    bench.see("ru_0", False)
    bench.pass_time(20)
    bench.plane.away = False
    bench.pass_time(20)
    bench.see("ru_0", True)
    bench.pass_time(20)
    assert [report.get("agent") for report in bench.plane.reports] == [__version__, None]
    bench.see("ru_0", False)
    bench.pass_time(VERSION_REFRESH * 2 + 60, 10)
    told = [report for report in bench.plane.reports if "agent" in report]
    assert len(told) == 3
    assert told[-1]["rules"] == []
