"""Applied means that Envoy has it."""

from __future__ import annotations

import asyncio

import pytest

from chalicelib.agent.verifier import TAKEN_WITHIN, WRITE_AGAIN, Outcome, Verifier
from tests.unit.envoy.fakes import FakeEnvoy, HandClock

WRITTEN = {"cds": "a-1", "rds:http-80": "a-2", "lds": "a-3"}


class Bench:
    def __init__(self) -> None:
        self.clock, self.envoy = HandClock(), FakeEnvoy()
        self.told: list[Outcome] = []
        self.verifier = Verifier(self.envoy, self.clock, self.told.append)

    def write(self, etag: str, versions=None) -> None:
        before = asyncio.run(self.verifier.before())
        self.verifier.expect(etag, versions or WRITTEN, before)

    def pass_time(self, seconds: float, step: float = 0.1) -> None:
        end = self.clock.elapsed + seconds
        while self.clock.elapsed < end:
            asyncio.run(self.verifier.turn())
            self.clock.pass_time(step)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_is_applied_only_when_envoy_has_all_of_it(bench):
    bench.write("r1.s1")
    bench.envoy.has = WRITTEN | {"lds": "old"}
    bench.pass_time(5)
    assert bench.told == []
    bench.envoy.has = dict(WRITTEN)
    bench.pass_time(1.5)
    assert [(o.etag, o.errors) for o in bench.told] == [("r1.s1", ())]


def test_what_envoy_refuses_is_told_once_in_its_words_and_only_then_what_it_has_later(bench):
    bench.write("r1.s1")
    bench.envoy.refused, bench.envoy.words = {"lds": 1}, ["tcp-20001: cannot bind"]
    bench.envoy.has = {"cds": "a-1", "rds:http-80": "a-2"}
    bench.pass_time(20)
    assert [o.errors for o in bench.told] == [("tcp-20001: cannot bind",)]
    bench.envoy.has, bench.envoy.words = dict(WRITTEN), []
    bench.pass_time(2)
    assert [o.errors for o in bench.told] == [("tcp-20001: cannot bind",), ()]


def test_refusals_of_the_past_are_none_of_the_present(bench):
    bench.envoy.refused = {"lds": 7}
    bench.write("r1.s1")
    bench.pass_time(1)
    assert bench.told == []


def test_a_refused_listener_does_not_keep_clusters_from_diverting(bench):
    bench.write("r1.s5")
    bench.envoy.refused = {"lds": 1}
    bench.envoy.has = {"cds": "a-1"}
    bench.pass_time(0.2)
    assert bench.verifier.diverted == "r1.s5"


def test_refused_clusters_do_not_divert(bench):
    bench.write("r1.s5")
    bench.envoy.refused = {"cds": 1}
    bench.pass_time(20)
    assert bench.verifier.diverted == ""
    assert any("cds" in word for word in bench.told[0].errors)


def test_an_envoy_that_is_not_there_has_not_applied_it_and_is_waited_for(bench):
    bench.envoy.gone = True
    bench.write("r1.s1")
    bench.pass_time(TAKEN_WITHIN)
    assert bench.told == []
    bench.pass_time(3)
    assert [o.errors for o in bench.told] == [("gone",)]
    bench.envoy.gone, bench.envoy.has = False, dict(WRITTEN)
    bench.pass_time(2)
    assert bench.told[-1].errors == ()


def test_another_version_of_the_same_files_needs_no_question(bench):
    bench.write("r1.s1")
    bench.envoy.has = dict(WRITTEN)
    bench.pass_time(1)
    asked = bench.envoy.asked
    bench.verifier.expect("r1.s2", dict(WRITTEN), {})
    bench.pass_time(1)
    assert bench.envoy.asked == asked
    assert [o.etag for o in bench.told] == ["r1.s1", "r1.s2"]
    assert bench.verifier.diverted == "r1.s2"


def test_looking_becomes_rarer_and_ends_when_it_is_there(bench):
    bench.write("r1.s1")
    bench.pass_time(10, step=0.02)
    assert bench.envoy.asked < 20
    bench.envoy.has = dict(WRITTEN)
    bench.pass_time(2)
    asked = bench.envoy.asked
    bench.pass_time(10)
    assert bench.envoy.asked == asked


def test_what_was_refused_is_written_again_after_a_while(bench):
    bench.write("r1.s1")
    bench.envoy.refused = {"lds": 1}
    bench.pass_time(1)
    assert not bench.verifier.write_again()
    bench.pass_time(WRITE_AGAIN)
    assert bench.verifier.write_again()
    bench.write("r1.s1", {kind: f"{version}-again" for kind, version in WRITTEN.items()})
    assert not bench.verifier.write_again()


def test_the_last_good_configuration_has_no_outcome(bench):
    bench.write("")
    bench.envoy.has = dict(WRITTEN)
    bench.pass_time(1)
    assert bench.told == []
