"""Heartbeats: numbered, contiguous, on disk before they are sent."""

from __future__ import annotations

import json
from datetime import timedelta

from chalicelib.adapters.memory.clock import START
from chalicelib.agent import spool as spools
from chalicelib.agent.spool import Spool
from chalicelib.domain.loglines import HeartbeatLine, SummaryLine, parse_line
from chalicelib.envoy.activity import Minute
from tests.unit.envoy.fakes import settings

SECOND = timedelta(seconds=1)


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


def test_what_is_asked_for_again_is_sent_again(tmp_path):
    spool = Spool(settings(tmp_path))
    for n in range(5):
        spool.mark_sent(spool.add({}, START + n * SECOND, "", (1, n), hole=False))
    assert spool.send_again(START + 2 * SECOND)
    assert [sequence.through for sequence in spool.unsent()] == [START + 3 * SECOND, START + 4 * SECOND]


def test_what_is_asked_for_and_gone_is_said(tmp_path):
    spool = Spool(settings(tmp_path))
    for n in range(5):
        spool.mark_sent(spool.add({}, START + n * timedelta(minutes=40), "", (1, n), hole=False))
    assert not spool.send_again(START)


def test_sequences_are_forgotten_after_an_hour(tmp_path):
    spool = Spool(settings(tmp_path))
    for n in range(5):
        spool.mark_sent(spool.add({}, START + n * timedelta(minutes=30), "", (1, n), hole=False))
    assert len(spool.sequences) <= 3
    assert len(list((tmp_path / "state" / "spool").glob("*.json"))) == len(spool.sequences)


def test_what_has_not_arrived_is_kept_for_longer_than_an_hour_even_where_the_clock_is_set_by_one(tmp_path):
    spool = Spool(settings(tmp_path))
    for n in range(10):
        spool.add({}, START + n * SECOND, "", (1, n), hole=False)
    spool.add({}, START + timedelta(hours=3), "", (1, 10), hole=False)
    assert len(Spool(settings(tmp_path)).unsent()) == 11


def test_a_clock_that_is_set_back_is_a_hole_and_the_proof_starts_anew_at_once(tmp_path):
    """Else every span would end before it begins, and prove nothing until the old time is reached again."""
    spool = Spool(settings(tmp_path))
    spool.add({}, START + timedelta(hours=1), "", (1, 1), hole=False)
    first, second = (beat(spool.add({}, START + n * SECOND, "", (1, 1 + n), hole=False)) for n in (1, 2))
    assert first["hole"] is True
    assert first["observed_from"] < first["observed_through"] == second["observed_from"] < second["observed_through"]
    assert "hole" not in second


def test_a_spool_whose_disk_is_full_from_the_start_is_kept_in_memory_and_written_later(tmp_path):
    state = tmp_path / "state"
    state.write_text("a file where the folder should be")
    spool = Spool(settings(tmp_path))
    fill(spool, 2)
    assert len(spool.unsent()) == 2
    state.unlink()
    fill(spool, 1, start=2)
    assert len(Spool(settings(tmp_path)).unsent()) == 3


def fill(spool: Spool, count: int, start: int = 0) -> None:
    for n in range(start, start + count):
        spool.add({}, START + n * SECOND, "", (1, n), hole=False)


def test_a_sequence_that_was_lost_on_disk_is_a_hole_to_be_told(tmp_path):
    spool = Spool(settings(tmp_path))
    fill(spool, 5)
    spool._path(spool.sequences[2].seq).write_text("")
    again = Spool(settings(tmp_path))
    assert len(again.sequences) == 4
    assert not again.send_again(START)
    assert again.send_again(START + 2 * SECOND)
    assert len(list((tmp_path / "state" / "spool").glob("*"))) == 4


def test_a_hole_that_was_told_is_none_to_be_told_again(tmp_path):
    spool = Spool(settings(tmp_path))
    fill(spool, 2)
    spool.add({}, START + 60 * SECOND, "", (1, 9), hole=True)
    assert spool.send_again(START)


def test_a_full_disk_loses_nothing_while_we_live_and_is_made_up_for_when_there_is_room(tmp_path, monkeypatch):
    disk = FullDisk()
    monkeypatch.setattr(spools, "atomic_write", disk.write)
    spool = Spool(settings(tmp_path))
    fill(spool, 2)
    disk.full = True
    spool.mark_sent(spool.sequences[0])
    fill(spool, 3, start=2)
    assert len(spool.unsent()) == 4
    # A kill now goes on from the last checkpoint that is on disk.
    assert Spool(settings(tmp_path)).position == (1, 1)
    disk.full = False
    fill(spool, 1, start=5)
    again = Spool(settings(tmp_path))
    assert again.position == (1, 5)
    assert [s.seq for s in again.sequences] == [s.seq for s in spool.sequences]


class FullDisk:
    """Writes until it is full."""

    def __init__(self) -> None:
        self.full = False

    def write(self, path, text) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        path.write_text(text)


def test_what_is_kept_in_memory_is_bounded_and_the_checkpoint_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(spools, "MOST_BYTES", 1000)
    spool = Spool(settings(tmp_path))
    fill(spool, 50)
    assert sum(sequence.size for sequence in spool.sequences) < 1300
    assert spool.position == (1, 49)
