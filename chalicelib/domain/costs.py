"""What an hour costs, and how amounts are counted so that their sums are exact."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from chalicelib.domain.intervals import common, merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.intervals import Day, Stretch

EXACT = Decimal("1e-12")
"""USD (or hours): what every amount is a multiple of, so that no sum of them is ever rounded."""

NOTHING = Decimal(0)

MICROSECOND = timedelta(microseconds=1)
_HOUR = timedelta(hours=1) // MICROSECOND


@dataclass(frozen=True, slots=True)
class UnknownCost:
    """An hourly cost that we do not know, and why, as a person reads it."""

    reason: str


HourlyCost: TypeAlias = Decimal | UnknownCost
"""USD an hour, or why it is unknown. Unknown is never zero."""


HIGHEST = Decimal(1_000_000)
"""USD an hour: far above any price, and low enough that a century of it is counted to `EXACT` in 28 digits."""


def checked(hourly: HourlyCost) -> HourlyCost:
    """The cost itself. Raises ValueError for one that is negative, no number or absurd."""
    if isinstance(hourly, Decimal) and not (hourly.is_finite() and 0 <= hourly < HIGHEST):
        msg = f"an hour cannot cost {hourly} USD"
        raise ValueError(msg)
    return hourly


def amount(hourly: HourlyCost, microseconds: int | Decimal) -> Decimal | None:
    """USD of so much time, None where the cost is unknown."""
    if isinstance(hourly, UnknownCost):
        return None
    return (hourly * microseconds / _HOUR).quantize(EXACT)


def hours(time: timedelta) -> Decimal:
    """The same time in hours."""
    return (Decimal(time // MICROSECOND) / _HOUR).quantize(EXACT)


def plus(some: Decimal | None, more: Decimal | None) -> Decimal | None:
    """Their sum, unknown where one of them is."""
    return None if some is None or more is None else some + more


def minus(some: Decimal | None, less: Decimal | None) -> Decimal | None:
    """Their difference, unknown where one of them is."""
    return None if some is None or less is None else some - less


class SharedCost:
    """What a proxy or load balancer itself costs, borne at each moment in equal parts by the rules then on it.

    `members` has when each rule was on it. While no rule is on it nobody bears its cost.
    """

    def __init__(self, id_: str, hourly: HourlyCost, members: Mapping[str, Iterable[Stretch]]) -> None:
        self.id = id_
        self.hourly = checked(hourly)
        self._members = {rule_id: merged(stretches) for rule_id, stretches in members.items()}
        steps: dict[datetime, int] = defaultdict(int)
        for stretches in self._members.values():
            for start, end in stretches:
                steps[start] += 1
                steps[end] -= 1
        self._times = sorted(steps)
        self._rules: list[int] = []
        for at in self._times:
            self._rules.append(steps[at] + (self._rules[-1] if self._rules else 0))
        # Microseconds that a rule would have borne alone, had it been on it from the first step to this one.
        self._borne = [NOTHING] * len(self._times)
        for n, (start, end) in enumerate(pairwise(self._times)):
            self._borne[n + 1] = self._borne[n] + self._part(end - start, self._rules[n])

    def shares(self, rule_id: str, days: Sequence[Day]) -> list[Decimal]:
        """A rule's part of each day, in microseconds of the whole cost."""
        mine = self._members.get(rule_id, [])
        return [
            sum((self._until(end) - self._until(start) for start, end in common(mine, [(day.start, day.end)])), NOTHING)
            for day in days
        ]

    def _until(self, at: datetime) -> Decimal:
        """Only of moments within a stretch or at its edge, so there is a step before."""
        n = bisect_right(self._times, at) - 1
        return self._borne[n] + self._part(at - self._times[n], self._rules[n])

    @staticmethod
    def _part(time: timedelta, rules: int) -> Decimal:
        return Decimal(time // MICROSECOND) / rules if rules else NOTHING
