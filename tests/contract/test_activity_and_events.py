"""Activity and events in any order.

`with meanwhile(do): call()` is somebody else who gets in between what the call reads and what it writes.
"""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.adapters.memory.clock import START
from chalicelib.ports import Health, LastActivity, Total
from tests.builders import make_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.ports import Page

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
INDIA = timezone(timedelta(hours=5, minutes=30))


def ids_in_pages(fetch: Callable[[str | None], Page[Any]], between: Callable[[], object] = lambda: None) -> list[str]:
    """Every id that the pages name; `between` happens after the first."""
    first = fetch(None)
    found, cursor = [item.id for item in first.items], first.next_cursor
    between()
    while cursor is not None:
        page = fetch(cursor)
        found += [item.id for item in page.items]
        cursor = page.next_cursor
    return found


class TestActivityInAnyOrder:
    def test_sources_are_kept_apart(self, stores):
        last = [LastActivity(source, START + n * SECOND) for n, source in enumerate(["proxy i-1", "a#b", "proxy i-2"])]
        for activity in last:
            stores.activity.seen("ru_1", activity)
        stores.activity.seen("ru_2", LastActivity("proxy i-1", START + MINUTE))
        facts = stores.activity.facts("ru_1")
        assert set(facts.last) == set(last)
        assert facts.health == ()
        assert stores.activity.facts("ru_none").last == ()

    def test_of_totals_every_figure_is_the_largest_in_any_order(self, stores):
        totals = [
            Total("ru_1", "2026-01-05T08:00", "proxy i-1", 5, 1, 9, 0, 70),
            Total("ru_1", "2026-01-05T08:00", "proxy i-1", 1, 7, 0, 3, 70),
            Total("ru_1", "2026-01-05T08:00", "proxy i-1", 2, 2, 2, 90, 2),
        ]
        for order in itertools.permutations(totals):
            stores.activity.add_totals(list(order))
            assert list(stores.activity.history("ru_1", START, START + MINUTE)) == [
                Total("ru_1", "2026-01-05T08:00", "proxy i-1", 5, 7, 9, 90, 70)
            ]

    def test_a_total_that_comes_twice_at_once_is_not_lost(self, stores, meanwhile):
        small, large = (Total("ru_1", "2026-01-05T08:00", "proxy i-1", requests=n, bytes_in=10 - n) for n in (1, 3))
        with meanwhile(lambda: stores.activity.add_totals([large])):
            stores.activity.add_totals([small])
        (stored,) = stores.activity.history("ru_1", START, START + MINUTE)
        assert (stored.requests, stored.bytes_in) == (3, 9)

    def test_history_is_oldest_first_by_minute_and_without_its_end(self, stores):
        minutes = ["2026-01-05T09:00", "2026-01-05T08:59", "2026-01-05T08:00", "2026-01-04T23:59"]
        totals = [Total("ru_1", minute, source, 1) for minute in minutes for source in ("b", "a")]
        stores.activity.add_totals([*totals, Total("ru_2", minutes[0], "a", 1)])
        stores.activity.add_totals([])

        def found(start: datetime, end: datetime) -> list[tuple[str, str]]:
            return [(total.minute, total.source) for total in stores.activity.history("ru_1", start, end)]

        expected = sorted((total.minute, total.source) for total in totals)
        assert found(START - DAY, START + DAY) == expected
        hour = START + 60 * MINUTE
        assert found(START, hour) == expected[2:6]
        assert found(START + 30 * SECOND, hour + SECOND) == expected[2:6], "its own minute, and none that only begins"
        assert found(START.astimezone(INDIA), hour.astimezone(INDIA)) == expected[2:6]
        assert found(hour, START) == found(START, START) == []

    def test_expired_totals_are_left_out_though_they_may_still_be_stored(self, stores, clock):
        stores.activity.add_totals([Total("ru_1", "2026-01-05T08:00", "proxy i-1", 1)])
        clock.advance(89 * DAY)
        assert len(stores.activity.history("ru_1", START - DAY, START + DAY)) == 1
        clock.advance(2 * DAY)
        assert list(stores.activity.history("ru_1", START - DAY, START + DAY)) == []

    def test_health_is_the_newest_of_each_member(self, stores):
        for health in (
            Health("m", True, START, 200),
            Health("n", True, START + SECOND),
            Health("m", False, START + SECOND),
            Health("m", True, START, 204),
        ):
            stores.activity.put_health("ru_1", health)
        facts = stores.activity.facts("ru_1")
        assert set(facts.health) == {Health("m", False, START + SECOND), Health("n", True, START + SECOND)}
        assert facts.last == ()
        assert stores.activity.facts("ru_2").health == ()

    def test_a_newer_use_or_report_that_comes_meanwhile_stays(self, stores, meanwhile):
        newer = LastActivity("proxy i-1", START + MINUTE)
        with meanwhile(lambda: stores.activity.seen("ru_1", newer)):
            stores.activity.seen("ru_1", LastActivity("proxy i-1", START))
        sick = Health("m", False, START + MINUTE, 503)
        with meanwhile(lambda: stores.activity.put_health("ru_1", sick)):
            stores.activity.put_health("ru_1", Health("m", True, START, 200))
        facts = stores.activity.facts("ru_1")
        assert (facts.last, facts.health) == ((newer,), (sick,))

    def test_pieces_are_counted_by_load_balancer_member_and_sequence(self, stores, meanwhile):
        count = stores.activity.count_stored
        with meanwhile(lambda: count("lb_1", "m", 1, frozenset("ab"))):
            assert count("lb_1", "m", 1, frozenset("bc")) == 3
        assert count("lb_1", "m", 1, frozenset("abc")) == 3
        assert count("lb_1", "m", 1, frozenset()) == 3
        assert count("lb_1", "n", 1, frozenset("a")) == 1
        assert count("lb_2", "m", 1, frozenset()) == 0


class TestEventsInAnyOrder:
    def ids(self, page: Page[Any]) -> list[str]:
        return [event.id for event in page.items]

    def test_many_at_once_and_none(self, stores):
        events = [make_event(f"ev_{n:03d}", "ru_1", START + n * SECOND) for n in range(60)]
        stores.events.append(events)
        stores.events.append([])
        newest_first = [event.id for event in reversed(events)]
        assert self.ids(stores.events.of_rule("ru_1", START, START + DAY, 100)) == newest_first
        assert ids_in_pages(lambda c: stores.events.of_rule("ru_1", START, START + DAY, 7, c)) == newest_first
        assert ids_in_pages(lambda c: stores.events.all(START, START + DAY, 7, c)) == newest_first

    def test_an_event_stored_twice_is_one_in_whatever_batch(self, stores):
        one, two = make_event("ev_1"), make_event("ev_2")
        stores.events.append([one, one, two])
        stores.events.append([two, one])
        assert sorted(self.ids(stores.events.all(START, START + DAY, 10))) == ["ev_1", "ev_2"]
        assert sorted(self.ids(stores.events.of_rule("ru_1", START, START + DAY, 10))) == ["ev_1", "ev_2"]

    def test_from_the_start_and_without_the_end(self, stores):
        start, end = START + 10 * SECOND, START + 20 * SECOND
        microsecond = timedelta(microseconds=1)
        times = {"before": start - microsecond, "first": start, "last": end - microsecond, "end": end}
        stores.events.append([make_event(f"ev_{name}", "ru_1", at) for name, at in times.items()])
        stores.events.append([make_event("ev_other", "ru_2", start)])
        for first, last in ((start, end), (start.astimezone(INDIA), end.astimezone(INDIA))):
            assert self.ids(stores.events.of_rule("ru_1", first, last, 10)) == ["ev_last", "ev_first"]
            assert self.ids(stores.events.all(first, last, 10)) == ["ev_last", "ev_other", "ev_first"]
        assert stores.events.of_rule("ru_1", end, start, 10).items == stores.events.all(end, start, 10).items == ()
        assert stores.events.of_rule("ru_1", start, start, 10).items == stores.events.all(start, start, 10).items == ()

    def test_expired_ones_are_left_out_though_they_may_still_be_stored(self, stores, clock):
        stores.events.append([make_event("ev_old"), make_event("ev_new", at=START + 5 * DAY)])
        clock.advance(91 * DAY)
        end = START + 400 * DAY
        assert self.ids(stores.events.of_rule("ru_1", START, end, 10)) == ["ev_new"]
        assert self.ids(stores.events.all(START, end, 10)) == ["ev_new"]

    @pytest.mark.parametrize("fetch", ["of_rule", "all"])
    def test_a_page_goes_on_where_the_last_one_ended_though_the_time_asked_for_moves_along(self, stores, fetch):
        stores.events.append([make_event(f"ev_{n}", "ru_1", START + n * SECOND) for n in range(6)])

        def read(start: int, end: int, cursor: str | None) -> Page[Any]:
            span = (START + start * SECOND, START + end * SECOND)
            if fetch == "all":
                return stores.events.all(*span, 2, cursor)
            return stores.events.of_rule("ru_1", *span, 2, cursor)

        first = read(0, 10, None)
        assert self.ids(first) == ["ev_5", "ev_4"]
        stores.events.append([make_event("ev_9", "ru_1", START + 9 * SECOND)])
        assert self.ids(read(1, 11, first.next_cursor)) == ["ev_3", "ev_2"]
        assert self.ids(read(5, 15, first.next_cursor)) == []
        assert self.ids(read(0, 3, first.next_cursor)) == ["ev_2", "ev_1"]
