"""Heartbeats: numbered, contiguous, on disk before they are sent."""

from __future__ import annotations

import json
from datetime import timedelta

from chalicelib.adapters.memory.clock import START
from chalicelib.agent.settings import Settings
from chalicelib.agent.shipper import Spool
from chalicelib.agent.tailer import Tailer
from chalicelib.domain.loglines import HeartbeatLine, SummaryLine, parse_line
from chalicelib.envoy.activity import Minute

SECOND = timedelta(seconds=1)


def settings(tmp_path) -> Settings:
    return Settings(
        "http://x", "lb_1", "i-1", tmp_path / "key", "us-east-1", "/g", tmp_path / "run", tmp_path / "state"
    )


def beat(sequence) -> dict:
    return json.loads(sequence.lines[-1])


def test_heartbeats_follow_each_other_without_a_gap_and_carry_their_summaries(tmp_path):
    spool = Spool(settings(tmp_path))
    first = spool.add({}, START, "r1.s1", (1, 0), hole=False)
    second = spool.add({("ru_1", "2026-01-05T08:00"): Minute(requests=1)}, START + SECOND, "r1.s1", (1, 9), hole=False)
    assert beat(first)["hole"] is True
    assert beat(second)["observed_from"] == beat(first)["observed_through"]
    assert (beat(second)["seq"], beat(second)["summaries"]) == (beat(first)["seq"] + 1, 1)
    assert isinstance(parse_line(second.lines[0], "s"), SummaryLine)
    assert isinstance(parse_line(second.lines[1], "s"), HeartbeatLine)


def test_after_a_kill_it_goes_on_where_it_was(tmp_path):
    spool = Spool(settings(tmp_path))
    spool.mark_sent(spool.add({}, START, "", (1, 5), hole=False))
    spool.add({}, START + SECOND, "", (1, 7), hole=False)
    again = Spool(settings(tmp_path))
    assert [sequence.through for sequence in again.unsent()] == [START + SECOND]
    assert again.position == (1, 7)
    third = again.add({}, START + 2 * SECOND, "", (1, 9), hole=False)
    assert beat(third)["observed_from"].startswith("2026-01-05T08:00:01")


def test_what_is_asked_for_again_is_sent_again_and_what_is_gone_is_said(tmp_path):
    spool = Spool(settings(tmp_path))
    for n in range(5):
        spool.mark_sent(spool.add({}, START + n * SECOND, "", (1, n), hole=False))
    assert spool.send_again(START + 2 * SECOND)
    assert [sequence.through for sequence in spool.unsent()] == [START + 3 * SECOND, START + 4 * SECOND]
    assert not spool.send_again(START - timedelta(days=1))


def test_sequences_are_forgotten_after_an_hour(tmp_path):
    spool = Spool(settings(tmp_path))
    for n in range(5):
        spool.add({}, START + n * timedelta(minutes=30), "", (1, n), hole=False)
    assert len(spool.sequences) <= 3
    assert len(list((tmp_path / "state" / "spool").glob("*.json"))) == len(spool.sequences)


def test_the_tailer_reads_whole_lines_and_goes_on_from_a_checkpoint(tmp_path):
    log = tmp_path / "access.log"
    log.write_bytes(b"one\ntw")
    tailer = Tailer(log, (log.stat().st_ino, 0))
    assert list(tailer.lines()) == [b"one"]
    with log.open("ab") as file:
        file.write(b"o\nthree\n")
    assert list(tailer.lines()) == [b"two", b"three"]
    again = Tailer(log, (log.stat().st_ino, 4))
    assert again.continued
    assert list(again.lines()) == [b"two", b"three"]


def test_a_log_that_was_replaced_meanwhile_is_a_hole(tmp_path):
    log = tmp_path / "access.log"
    log.write_bytes(b"new\n")
    assert not Tailer(log, (log.stat().st_ino + 1, 400)).continued
