"""The work queue in memory: at least once, with delays, and on request with loss, repetition and disorder."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from chalicelib.ports import Clock, ReconcileRequest


LONGEST_DELAY = 900
"""Seconds, as in SQS; there they are whole."""


class MemoryQueue:
    """`chaos`, where given, loses, repeats and shuffles messages as a bad day at SQS would."""

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
            self.waiting += [(at, request)] * copies

    def deliver(self, handle: Callable[[ReconcileRequest], None]) -> int:
        """Hand over what is ready now; answers how many messages that were. What the handler sends stays waiting.

        A message whose handler raises, and those behind it, wait for the next delivery.
        """
        now = self._clock.now()
        ready = [request for at, request in self.waiting if at <= now]
        self.waiting = [(at, request) for at, request in self.waiting if at > now]
        if self._chaos is not None:
            self._chaos.shuffle(ready)
        handled = 0
        try:
            for request in ready:
                handle(request)
                handled += 1
        finally:
            self.waiting += [(now, request) for request in ready[handled:]]
        return handled
