"""Generated demand: when somebody would use a rule, whatever AutoStop does about it.

A rule's traffic is sessions, within which it is used every `cadence` seconds. Sessions are drawn once and kept as two
arrays of whole seconds since the simulation began, so that "the last use before t" is a search and no event at all.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

MINUTE, HOUR, DAY = 60, 3600, 86_400
MIDNIGHT = -8 * HOUR
"""The first midnight before the simulation begins, on a Monday at 08:00."""

WORKDAYS = 5


class Pattern(StrEnum):
    """Whom a rule serves."""

    OFFICE = "office hours"
    NIGHTLY = "nightly job"
    BURSTS = "bursts"
    NEVER = "never used"
    ALWAYS = "always used"


@dataclass(frozen=True, slots=True)
class Traffic:
    """The uses of one rule: of session n the seconds `starts[n]`, `starts[n] + cadence` … up to `ends[n]`."""

    starts: array[int]
    ends: array[int]
    cadence: int

    def last_use(self, second: float) -> int | None:
        """The last use at or before this second."""
        n = bisect_right(self.starts, second) - 1
        if n < 0:
            return None
        within = min(second, self.ends[n]) - self.starts[n]
        return self.starts[n] + int(within // self.cadence) * self.cadence

    def next_use(self, second: float) -> int | None:
        """The first use after this second."""
        n = bisect_right(self.starts, second) - 1
        if n >= 0:
            following = self.starts[n] + int((second - self.starts[n]) // self.cadence + 1) * self.cadence
            if following <= self.ends[n]:
                return following
        return self.next_session(second)

    def next_session(self, second: float) -> int | None:
        """When the next session after this second begins."""
        n = bisect_right(self.starts, second)
        return self.starts[n] if n < len(self.starts) else None


def draw(pattern: Pattern, idle: int, days: int, chance: random.Random) -> Traffic:
    """The traffic of one rule. `idle` is its idle time in seconds; within a session it is never unused for so long."""
    starts, ends = array("i"), array("i")
    for start, end in sorted(_SESSIONS[pattern](days, chance)):
        begin = max(start, ends[-1] + 1 if ends else 1)
        if begin <= end <= days * DAY:
            starts.append(begin)
            ends.append(end)
    return Traffic(starts, ends, chance.randint(20, max(30, idle // 2)))


def _office(days: int, chance: random.Random) -> Iterator[tuple[int, int]]:
    begins, ends = chance.randint(7 * HOUR, 10 * HOUR), chance.randint(15 * HOUR, 19 * HOUR)
    for day in range(days):
        if day % 7 < WORKDAYS and chance.random() < 0.9:  # noqa: PLR2004  (somebody is on leave)
            midnight, lunch = MIDNIGHT + day * DAY, chance.randint(12 * HOUR, 13 * HOUR)
            yield midnight + begins + chance.randint(0, HOUR), midnight + lunch
            yield midnight + lunch + HOUR // 2, midnight + ends - chance.randint(0, HOUR)


def _nightly(days: int, chance: random.Random) -> Iterator[tuple[int, int]]:
    begins = chance.randint(0, 6 * HOUR)
    for day in range(days):
        start = MIDNIGHT + day * DAY + begins
        yield start, start + chance.randint(5 * MINUTE, 90 * MINUTE)


def _bursts(days: int, chance: random.Random) -> Iterator[tuple[int, int]]:
    at = 0.0
    while at < days * DAY:
        at += chance.expovariate(1 / (9 * DAY))
        yield int(at), int(at) + chance.choice((0, 2 * MINUTE, 10 * MINUTE, 40 * MINUTE))


def _never(days: int, chance: random.Random) -> Iterator[tuple[int, int]]:
    del days, chance
    yield from ()


def _always(days: int, chance: random.Random) -> Iterator[tuple[int, int]]:
    yield chance.randint(1, HOUR), days * DAY


_SESSIONS: dict[Pattern, Callable[[int, random.Random], Iterator[tuple[int, int]]]] = {
    Pattern.OFFICE: _office,
    Pattern.NIGHTLY: _nightly,
    Pattern.BURSTS: _bursts,
    Pattern.NEVER: _never,
    Pattern.ALWAYS: _always,
}
