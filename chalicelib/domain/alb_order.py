"""Priorities of our listener rules among those of others, and whether another's rule takes all that ours would get."""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING

from chalicelib.domain.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from chalicelib.domain.alb_seen import SeenRule
    from chalicelib.domain.alb_wanted import WantedRule

LAST = 50000
"""The lowest priority there is.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html
"""

ROOM = 1000
"""So many free numbers behind every rule of others make us stay behind them all."""

STEP = 100
"""Between two of ours where there is room, so that one can be put between without moving any."""


def home(foreign: Collection[int]) -> range:
    """The run of free priorities that ours are given of: behind all others where there is room, else the longest."""
    last = max(foreign, default=0)
    if LAST - last >= ROOM:
        return range(last + 1, LAST + 1)
    ends = [0, *sorted(foreign), LAST + 1]
    runs = [range(a + 1, b) for a, b in pairwise(ends)]
    return max(runs, key=len)


def priorities(have: Sequence[int | None], foreign: Collection[int], busy: Collection[int] = ()) -> list[int]:
    """A priority for each of ours, from most to least specific, `have` being those that they have; few are moved.

    `busy` are those of rules of ours that are about to go. Raises ConflictError where there is no room for them.
    """
    free = home(foreign)
    if len(have) > len(free) - len(busy):
        raise ConflictError(
            f"There are only {len(free)} free priorities in a row on the listener, and {len(have)} rules need them."
        )
    found: list[int | None] = [number if keeps else None for number, keeps in zip(have, _kept(have), strict=True)]
    taken = frozenset(foreign) | frozenset(busy)
    at = 0
    while at < len(found):
        if found[at] is not None:
            at += 1
            continue
        end = next((n for n in range(at, len(found)) if found[n] is not None), len(found))
        before, after = found[at - 1] if at else None, found[end] if end < len(found) else None
        numbers = _between(before, after, end - at, free, taken)
        if numbers is None:
            return _spread([number for number in free if number not in taken], len(have))
        found[at:end] = numbers
        at = end
    return [number for number in found if number is not None]


def _kept(have: Sequence[int | None]) -> list[bool]:
    """Which of them are in order already: the longest increasing run through them, so that the fewest are moved."""
    tails: list[int] = []
    ends: list[int] = []
    back: list[int | None] = [None] * len(have)
    for n, number in enumerate(have):
        if number is None:
            continue
        at = bisect_left(tails, number)
        back[n] = ends[at - 1] if at else None
        tails[at : at + 1] = [number]
        ends[at : at + 1] = [n]
    keep = [False] * len(have)
    last: int | None = ends[-1] if ends else None
    while last is not None:
        keep[last] = True
        last = back[last]
    return keep


def _between(before: int | None, after: int | None, count: int, free: range, taken: frozenset[int]) -> list[int] | None:
    if before is None and after is None:
        return _spread([number for number in free if number not in taken], count)
    low = free.start if before is None else before + 1
    high = (free.stop if before is None or before < free.stop else LAST + 1) if after is None else after
    if low >= high and before is None:
        low = 1  # what they have lies before the free run
    numbers = [number for number in range(low, high) if number not in taken]
    if len(numbers) < count:
        return None
    step = len(numbers) // (count + 1) or 1
    step = min(step, STEP)
    if after is not None and before is None:
        return numbers[::-1][step - 1 : count * step : step][::-1]
    return numbers[step - 1 : count * step : step]


def _spread(free: Sequence[int], count: int) -> list[int]:
    step = max(1, min(STEP, len(free) // (count + 1)))
    return list(free[step - 1 : count * step : step])


def shadowed(rule: WantedRule, before: Sequence[SeenRule]) -> Iterator[tuple[str, str, SeenRule]]:
    """Each host and path of ours that another's rule, which comes before, takes whole."""
    for host in rule.hosts:
        for path in rule.paths or ("/*",):
            for other in before:
                if not other.narrowed and _takes(other.hosts, host, fold=True) and _takes(other.paths, path):
                    yield host, path, other
                    break


def _takes(patterns: Collection[str], value: str, *, fold: bool = False) -> bool:
    return not patterns or any(_covers(pattern, value, fold=fold) for pattern in patterns)


def _covers(pattern: str, value: str, *, fold: bool) -> bool:
    """Whether all that a value with wildcards stands for matches the pattern. * is any characters, ? is one.

    A * of the value must be taken by a * of the pattern: it stands for a text that no ? and no letter is equal to.
    """
    parts = ["[\\s\\S]*" if c == "*" else "[^*]" if c == "?" else re.escape(c) for c in pattern]
    return re.fullmatch("".join(parts), value, re.IGNORECASE if fold else 0) is not None
