"""Following what Envoy writes: who came is woken for, who still waits is woken for again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from chalicelib.agent.envoy_admin import EnvoySilentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chalicelib.agent.beliefs import Beliefs
    from chalicelib.agent.clock import Clock
    from chalicelib.agent.envoy_admin import EnvoyAdmin
    from chalicelib.agent.tailer import Tailer
    from chalicelib.envoy.activity import Activity, Minute, Started

    Checkpoint = tuple[tuple[int, int], dict[tuple[str, str], Minute], dict[str, list[Any]]]

log = logging.getLogger(__name__)

HELD_AFTER = 2.0
LET_GO_AFTER = 1.0
"""Seconds after the time for a start: Envoy itself counts attempts, which take three times as long in a black hole."""

LET_GO_FOR = 5.0
"""An attempt and the pause before it take 2 s at most, and Envoy has a change of 2,000 rules within 1.5 s. Whoever is
still there afterwards died with a killed Envoy, and must not keep others out."""

LARGEST_LOG = 16 * 1024 * 1024
STALE = 10.0
"""A start record that is read so late wakes nobody: who still waits is among the held, everybody else has gone."""

LINES_A_TURN = 2000
"""After so many lines the others have their turn: 15 ms."""

ROTATE_AGAIN = 1.0

CLOCK_SET = 5.0
"""So far a clock that is only disciplined never gets from one that cannot be set."""

SILENT_PERIODS = 3
SLACK = 15.0


class Follower:
    """One reader of the log, whoever asks for it to be read: the loop that follows, or a heartbeat.

    `periodic` is how often, in seconds, Envoy tells of each stream.
    """

    def __init__(
        self,
        tailer: Tailer,
        activity: Activity,
        beliefs: Beliefs,
        admin: EnvoyAdmin,
        clock: Clock,
        wake: Callable[[str, dict[str, Any]], None],
        periodic: float,
    ) -> None:
        self._tailer = tailer
        self._activity = activity
        self._beliefs = beliefs
        self._admin = admin
        self._clock = clock
        self._wake = wake
        self._periodic = periodic
        self._silent_after = SILENT_PERIODS * periodic + SLACK
        self._reading = asyncio.Lock()
        self._rotate_at = 0.0
        self._kept_in = tailer.position[0] if tailer.continued else None
        self._ahead = clock.now().timestamp() - clock.monotonic()
        self.continued = tailer.continued
        self.checkpoint_wanted = asyncio.Event()
        """Set when the log cannot be rotated before the next checkpoint."""

    async def follow(self) -> None:
        """Read everything that is there now."""
        async with self._reading:
            await self._read()
            if self._tailer.size > LARGEST_LOG and self._clock.monotonic() >= self._rotate_at:
                await self._rotate()

    async def checkpoint(self) -> Checkpoint:
        """Read everything that is there now.

        Answers up to where, what changed since the last checkpoint, and the streams that are open.
        """
        async with self._reading:
            await self._read()
            if self._activity.malformed:
                log.error("%d lines of the access log are not understood and left out", self._activity.malformed)
                self._activity.malformed = 0
            position = self._tailer.position
            self._kept_in = position[0]
            return position, self._activity.take(), self._activity.open_streams()

    async def remind(self) -> None:
        """Wake again for whoever is still held."""
        if self._reading.locked():
            return  # there is more to read: who seems to be held may not be
        now = self._clock.now()
        self._mind_the_clock()
        # Streams of an Envoy that was killed have no end: they must not wake for ever.
        self._activity.forget_silent(now.timestamp() - self._silent_after, self._periodic)
        self._beliefs.let_go = frozenset(self._overdue(now.timestamp()))
        waiting: dict[tuple[str, bool], Started] = {}
        for started in self._activity.held.values():
            if now.timestamp() - started.at >= HELD_AFTER:
                waiting.setdefault((started.rule, started.tcp), started)
        for (rule, tcp), started in waiting.items():
            if tcp or not self._beliefs.known_up(rule, now):
                self._wake(rule, _cause(started, "held"))
            else:
                # A target that takes long, or one that we wrongly believe to be up.
                self._beliefs.doubt(rule)

    async def _read(self) -> None:
        for number, line in enumerate(self._tailer.lines(), 1):
            started = self._activity.feed(line)
            if started is not None:
                self._came(started)
            if number % LINES_A_TURN == 0:
                await asyncio.sleep(0)

    def _came(self, started: Started) -> None:
        now = self._clock.now()
        if self._beliefs.known_up(started.rule, now):
            if not started.tcp:
                self._activity.used(started.rule, started.at)
        elif now.timestamp() - started.at < STALE:
            self._wake(started.rule, _cause(started, "tcp" if started.tcp else "http"))

    def _overdue(self, now: float) -> Iterator[tuple[str, bool]]:
        """Rules, and whether it is TCP, of clients that are held for longer than a start may take.

        A request that only takes its target long is none of them: Envoy tells of its upstream once a period.
        """
        for started in self._activity.held.values():
            rule, belief = self._beliefs.rules.get(started.rule), self._beliefs.of.get(started.rule)
            if rule is None or belief is None or (belief.accepts and not started.tcp):
                continue
            since = started.at + max(rule.start_minutes * 60, self._periodic) + LET_GO_AFTER
            if since <= now <= since + LET_GO_FOR:
                yield started.rule, started.tcp

    def _mind_the_clock(self) -> None:
        """A clock that is set must not make streams look silent, nor keep whoever waits from being woken for."""
        ahead = self._clock.now().timestamp() - self._clock.monotonic()
        moved, self._ahead = ahead - self._ahead, ahead
        if abs(moved) >= CLOCK_SET:
            log.warning("the machine's clock was set by %+.0f s", moved)
            self._activity.clock_moved(moved)

    async def _rotate(self) -> None:
        """Rename; the tailer reads the old one out and turns to the new one by itself.

        Not before a checkpoint lies in this log: what is in the one that is overwritten would be lost with a kill.
        """
        self._rotate_at = self._clock.monotonic() + ROTATE_AGAIN
        if self._kept_in != self._tailer.position[0]:
            self.checkpoint_wanted.set()
            return
        self._tailer.set_aside()
        try:
            await self._admin.reopen_logs()
        except EnvoySilentError as error:
            log.warning("the access log is to be rotated, and is tried again: %s", error)


def _cause(started: Started, kind: str) -> dict[str, Any]:
    cause = {"kind": kind, "source": started.source, "port": started.port}
    return cause | {"host": started.host, "path": started.path}
