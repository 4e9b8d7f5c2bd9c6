"""The work queue in memory: at least once, with delays, and on request with loss, repetition and disorder."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from datetime import timedelta
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from chalicelib.ports import Clock, ReconcileRequest


LONGEST_DELAY = 900
"""Seconds, as in SQS; there they are whole."""

_ready_at = itemgetter(0)


class MemoryQueue:
    """`chaos`, where given, loses, repeats and shuffles messages as a bad day at SQS would.

    `waiting` is in the order in which messages become ready, so that a delivery touches only those that are.
    """

    def __init__(self, clock: Clock, chaos: random.Random | None = None) -> None:
        self._clock = clock
        self._chaos = chaos
        self.waiting: list[tuple[datetime, ReconcileRequest]] = []
        self.sent = 0

    def send(self, requests: Sequence[ReconcileRequest], delay: timedelta | None = None) -> None:
        self.sent += len(requests)
        seconds = min(LONGEST_DELAY, max(0, math.ceil(delay.total_seconds()))) if delay else 0
        at = self._clock.now() + timedelta(seconds=seconds)
        for request in requests:
            copies = 1 if self._chaos is None else self._chaos.choice((0, 1, 1, 1, 2))
            for _ in range(copies):
                insort(self.waiting, (at, request), key=_ready_at)

    def next_at(self) -> datetime | None:
        """When the next message is ready, None while there is none."""
        return self.waiting[0][0] if self.waiting else None

    def deliver(self, handle: Callable[[ReconcileRequest], None]) -> int:
        """Hand over what is ready now; answers how many messages that were. What the handler sends stays waiting.

        A message whose handler raises, and those behind it, wait for the next delivery.
        """
        now = self._clock.now()
        count = bisect_right(self.waiting, now, key=_ready_at)
        ready = [request for _, request in self.waiting[:count]]
        del self.waiting[:count]
        if self._chaos is not None:
            self._chaos.shuffle(ready)
        handled = 0
        try:
            for request in ready:
                handle(request)
                handled += 1
        finally:
            for request in ready[handled:]:
                insort(self.waiting, (now, request), key=_ready_at)
        return handled
