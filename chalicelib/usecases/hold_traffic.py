"""Holding a request until its rule is up, for a bounded time and for a bounded number of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.holding import LONGEST_HOLD
from chalicelib.usecases.answer_traffic import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from chalicelib.ports import Clock, Holds, Ids
    from chalicelib.usecases.answer_traffic import AnswerTraffic, Told

LOOK = timedelta(seconds=1)
SETTLE = timedelta(seconds=1)
"""An ALB that was told to forward to the instances still forwards some requests to the function for about so long."""


@dataclass(slots=True)
class HoldTraffic:
    """`sleep` takes seconds, and returns when they have passed."""

    answers: AnswerTraffic
    places: Holds
    clock: Clock
    ids: Ids
    sleep: Callable[[float], None]

    def hold(self, load_balancer_id: str, told: Told, longest: timedelta = LONGEST_HOLD) -> Told:
        """The last that is known of the rule: it is up, or the time has passed, or there was no place to wait in.

        `longest` is what is left of the invocation, at most `LONGEST_HOLD` of it is used.
        """
        if told.rule is None or not told.holds:
            return told
        until = self.clock.now() + min(longest, LONGEST_HOLD)
        holder, rule_id = self.ids.new("ho"), told.rule.id
        place = self.places.take(load_balancer_id, rule_id, holder, until)
        if place is None:
            return told
        try:
            return self._wait(told, until - SETTLE)
        finally:
            self.places.give_back(load_balancer_id, rule_id, holder, place)

    def _wait(self, told: Told, until: datetime) -> Told:
        """Until it is up, or cannot become it, or `until`."""
        while told.outcome in {Outcome.STARTING, Outcome.FAILED} and self.clock.now() + LOOK <= until:
            self.sleep(LOOK.total_seconds())
            told = self.answers.look(told)
        if told.outcome is Outcome.UP:
            self.sleep(SETTLE.total_seconds())
        return told
