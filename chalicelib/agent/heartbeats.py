"""Heartbeats: what was seen up to a moment, and the claim that nothing else was there."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from chalicelib.agent.envoy_admin import EnvoySilentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.agent.clock import Clock
    from chalicelib.agent.cloudwatch import LogSink
    from chalicelib.agent.envoy_admin import EnvoyAdmin
    from chalicelib.agent.follower import Follower
    from chalicelib.agent.spool import Spool

log = logging.getLogger(__name__)

MARGIN = timedelta(seconds=2)
"""Envoy's record of a moment is in the file 15 ms later, and 0.4 s later while Envoy takes in a change of 1,000 rules
(docs/adr/0016): its timer waits for that. What is proven must not be sooner than what is written."""


def until_beat(now: datetime, every: float) -> float:
    """Seconds until the next heartbeat, so that what it proves ends on a whole `every`.

    With heartbeats of a minute each has one summary for each rule, where one in the middle of a minute has two: half
    of what CloudWatch Logs is paid for. One that is nearly there is left out, or a timer that is early beats twice.
    """
    into = (now - MARGIN).timestamp() % every
    left = every - into
    return left if left > every / 10 else left + every


class Heartbeats:
    """`beat` proves and spools, `ship` sends: a sink that hangs keeps nothing from being proved.

    `config` tells the configuration that Envoy diverts by, `patience` for how many seconds what was sent again may
    take to arrive. `beat_now` and `ship_now` are set when it is to be soon.
    """

    def __init__(
        self,
        follower: Follower,
        spool: Spool,
        sink: LogSink,
        admin: EnvoyAdmin,
        clock: Clock,
        config: Callable[[], str],
        patience: float,
    ) -> None:
        self._follower = follower
        self._spool = spool
        self._sink = sink
        self._admin = admin
        self._clock = clock
        self._config = config
        self._patience = patience
        self._hole = not follower.continued
        self._failed_writes: int | None = None
        self._asked_at: float | None = None
        self.beat_now = follower.checkpoint_wanted
        self.ship_now = asyncio.Event()

    async def beat(self) -> None:
        """Make the next sequence."""
        through = self._clock.now() - MARGIN
        if await self._lines_were_lost():
            self._hole = True
        position, minutes, streams = await self._follower.checkpoint()
        self._spool.add(minutes, through, self._config(), position, streams, hole=self._hole)
        self._hole = False
        self.ship_now.set()

    async def ship(self) -> None:
        """Send what has not arrived. Only one call at a time."""
        for sequence in self._spool.unsent():
            try:
                await asyncio.to_thread(self._sink.put, sequence.lines, self._clock.now())
            except OSError as error:
                log.warning("shipping failed, it is tried again with the next heartbeat: %s", error)
                return
            self._spool.mark_sent(sequence)

    def send_again(self, start: str) -> None:
        """The control plane misses what came after `start`; what is no more here is a hole, and told."""
        now = self._clock.monotonic()
        if self._asked_at is not None and now - self._asked_at < self._patience:
            return  # it asks at every poll until what was sent has arrived
        self._asked_at = now
        try:
            since = datetime.fromisoformat(start)
            whole = self._spool.send_again(since)
        except (ValueError, TypeError):  # no time, or one without a zone
            log.warning("resend_from is no time: %r", start)
            return
        if not whole:
            self._hole = True
        self.beat_now.set()

    async def _lines_were_lost(self) -> bool:
        """Whether Envoy could not write to its log since the last heartbeat: the tmpfs was full."""
        try:
            failed = await self._admin.failed_writes()
        except EnvoySilentError:
            return False  # a dead Envoy serves nobody and writes nothing
        before, self._failed_writes = self._failed_writes, failed
        lost = failed > 0 and failed != before
        if lost:
            log.error("Envoy could not write %d records: what they told is lost, and the proof starts anew", failed)
        return lost
