"""The access log is followed through rotations and kills without losing a line."""

from __future__ import annotations

from chalicelib.agent.tailer import Tailer


def test_whole_lines_are_read_and_reading_goes_on_from_a_checkpoint(tmp_path):
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


def test_a_log_that_was_replaced_meanwhile_is_a_hole_and_all_of_it_is_news(tmp_path):
    log = tmp_path / "access.log"
    log.write_bytes(b"new\n")
    tailer = Tailer(log, (log.stat().st_ino + 1, 400))
    assert not tailer.continued
    assert list(tailer.lines()) == [b"new"]


def test_without_a_checkpoint_what_is_there_is_not_ours_to_tell(tmp_path):
    log = tmp_path / "access.log"
    log.write_bytes(b"old\n")
    tailer = Tailer(log)
    assert not tailer.continued
    assert list(tailer.lines()) == []


def test_a_log_that_comes_later_is_read_from_its_beginning(tmp_path):
    log = tmp_path / "access.log"
    tailer = Tailer(log)
    assert tailer.continued
    assert list(tailer.lines()) == []
    log.write_bytes(b"one\n")
    assert list(tailer.lines()) == [b"one"]


def test_a_renamed_log_is_read_to_its_end_before_the_new_one(tmp_path):
    log = tmp_path / "access.log"
    log.write_bytes(b"one\n")
    tailer = Tailer(log, (log.stat().st_ino, 0))
    with log.open("ab") as held_open_by_envoy:
        tailer.set_aside()
        assert list(tailer.lines()) == [b"one"]
        held_open_by_envoy.write(b"two\n")
    log.write_bytes(b"three\n")
    assert list(tailer.lines()) == [b"two", b"three"]
    assert tailer.position == (log.stat().st_ino, 6)


def test_a_kill_between_rename_and_reopening_loses_nothing(tmp_path):
    log = tmp_path / "access.log"
    log.write_bytes(b"one\ntwo\n")
    checkpoint = (log.stat().st_ino, 4)
    Tailer(log, checkpoint).set_aside()
    log.write_bytes(b"three\n")
    again = Tailer(log, checkpoint)
    assert again.continued
    assert list(again.lines()) == [b"two", b"three"]


def test_a_log_that_was_not_read_yet_is_not_set_aside_over_the_one_that_is_being_read(tmp_path):
    log = tmp_path / "access.log"
    log.write_bytes(b"one\n")
    tailer = Tailer(log, (log.stat().st_ino, 0))
    tailer.set_aside()
    log.write_bytes(b"two\n")
    tailer.set_aside()
    assert list(tailer.lines()) == [b"one", b"two"]


def test_a_line_without_an_end_does_not_grow_in_memory(tmp_path):
    log = tmp_path / "access.log"
    log.write_bytes(b"x" * 5_000_000)
    tailer = Tailer(log, (log.stat().st_ino, 0))
    assert list(tailer.lines()) == []
    assert len(tailer._rest) < 2_000_000


def test_a_log_that_was_not_there_at_the_checkpoint_is_news_and_no_hole(tmp_path):
    log = tmp_path / "access.log"
    before = Tailer(log).position
    log.write_bytes(b"one\n")
    again = Tailer(log, before)
    assert again.continued
    assert list(again.lines()) == [b"one"]
