"""What flow logs prove: contiguous time, whatever comes late, twice, in pieces or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.activity import Span
from chalicelib.domain.flow_proof import LAG, Stretches, extend, proven, shortest_idle

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def window(n: int, start: int = 0, end: int = 60) -> Span:
    """Seconds of the nth minute."""
    return Span(NOON + n * MINUTE + start * SECOND, NOON + n * MINUTE + end * SECOND)


def after(*spans, skipped=(), known=None):
    return extend(known or Stretches(), spans, skipped, MINUTE)


def at(n):
    return NOON + n * MINUTE


def test_windows_one_after_the_other_are_one_stretch():
    known = after(*(window(n) for n in range(30)))
    assert proven(known, at(40)) == Span(at(0), at(30))


def test_flows_at_the_far_ends_of_neighbours_leave_no_hole():
    known = after(window(0, 0, 1), window(1, 58, 59))
    assert proven(known, at(40)) == Span(at(0), at(1) + 59 * SECOND)


def test_two_windows_that_are_missing_are_a_hole():
    known = after(window(0), window(1), window(4), window(5))
    assert proven(known, at(40)) == Span(at(4), at(6))
    assert proven(after(window(2), window(3), known=known), at(40)) == Span(at(0), at(6))


def test_what_aws_skipped_is_a_hole_whenever_it_is_told():
    known = after(*(window(n) for n in range(10)))
    for found in (after(skipped=[window(4)], known=known), after(*known.proved, skipped=[window(4)])):
        assert proven(found, at(40)) == Span(at(5), at(10))


def test_nothing_is_proven_of_the_last_ten_minutes():
    known = after(*(window(n) for n in range(30)))
    assert proven(known, at(30)) == Span(at(0), at(30) - LAG)
    assert proven(after(window(29)), at(30)) is None


def test_an_idle_time_is_at_least_what_is_late_and_a_window():
    assert shortest_idle(MINUTE) == 12 * MINUTE
    assert shortest_idle(10 * MINUTE) == 20 * MINUTE


numbers = st.lists(st.integers(0, 60), max_size=40)


@given(numbers, st.lists(st.integers(0, 60), max_size=5), st.randoms(use_true_random=False), st.integers(1, 7))
def test_any_order_repetition_and_pieces_come_to_the_same(minutes, skips, chance, size):
    told = [("p", window(n)) for n in minutes] + [("s", window(n)) for n in skips]
    once = extend(Stretches(), [w for k, w in told if k == "p"], [w for k, w in told if k == "s"], MINUTE)
    known, often = Stretches(), [*told, *told]
    chance.shuffle(often)
    for n in range(0, len(often), size):
        piece = often[n : n + size]
        known = extend(known, [w for k, w in piece if k == "p"], [w for k, w in piece if k == "s"], MINUTE)
    assert known == once


@given(st.sets(st.integers(0, 60), min_size=1), st.sets(st.integers(0, 60), max_size=5), st.integers(11, 90))
def test_a_watermark_passes_no_hole(minutes, skips, now):
    span = proven(after(*(window(n) for n in minutes), skipped=[window(n) for n in skips]), at(now))
    if span is None:
        return
    assert span.end <= at(now) - LAG
    n = -(-(span.start - NOON) // MINUTE)
    inside = range(n, (span.end - NOON) // MINUTE)
    assert not skips & set(inside)
    # Never two minutes in a row of which nothing came.
    assert not [m for m in inside if m not in minutes and m + 1 in inside and m + 1 not in minutes]


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(0, 60), st.integers(11, 90))
def test_more_windows_never_move_a_watermark_back(minutes, more, now):
    known = after(*(window(n) for n in minutes))
    before, later = proven(known, at(now)), proven(after(window(more), known=known), at(now))
    if before is not None:
        assert later is not None
        assert later.end >= before.end


@given(st.sets(st.integers(0, 400)), st.sets(st.integers(0, 400)))
def test_what_is_kept_is_bounded_and_what_is_forgotten_is_not_proven(minutes, skips):
    known = after(*(window(3 * n) for n in minutes), skipped=[window(3 * n) for n in skips])
    assert len(known.proved) <= 24
    assert len(known.skipped) <= 24
    span = proven(known, at(2000))
    if span is not None:
        assert not [n for n in skips if span.start <= window(3 * n).start and window(3 * n).end <= span.end]
