"""Does a target accept? A TCP connection, or the rule's health check; each rule when it is due."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from chalicelib.agent.beliefs import Belief, Beliefs
    from chalicelib.agent.clock import Clock
    from chalicelib.envoy.compact import CompactRule, Probe

PENDING_PROBE = 0.4
ABSENT_PROBE = 2.0
AT_ONCE = 200
"""Probes under way, of rules that somebody waits for and of all others, each. A black hole takes the whole timeout, and
those that nobody waits for must not keep the others waiting."""


class Prober(Protocol):
    """Looks at a rule's targets."""

    async def look(self, rule: CompactRule) -> tuple[bool, int | None]:
        """Whether any target accepts, and the HTTP status it answered with."""
        ...


class NetworkProber:
    """Prober with a session of its own: no cookies, no connection kept, no limit that a black hole could use up."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, ssl=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Let go of every connection."""
        await self._session.close()

    async def look(self, rule: CompactRule) -> tuple[bool, int | None]:
        check = rule.probe
        results = await asyncio.gather(*(self._one(address, check) for address in rule.targets))
        good = [status for accepts, status in results if accepts]
        if good:
            return True, good[0]
        return False, next((status for _, status in results if status is not None), None)

    async def _one(self, address: str, check: Probe) -> tuple[bool, int | None]:
        try:
            if check.protocol == "tcp":
                async with asyncio.timeout(check.timeout):
                    _, writer = await asyncio.open_connection(address, check.port)
                writer.close()
                return True, None
            host = f"[{address}]" if ":" in address else address
            url = URL(f"{check.protocol}://{host}:{check.port}{check.path}", encoded=True)
            timeout = aiohttp.ClientTimeout(total=check.timeout)
            # The status is all we want: a redirect is an answer, and of the body nothing is read.
            async with self._session.get(url, timeout=timeout, allow_redirects=False) as answer:
                return check.status[0] <= answer.status <= check.status[1], answer.status
        except (OSError, TimeoutError, ValueError, aiohttp.ClientError):
            return False, None  # whatever a target answers, it is only not good


class ProbeSchedule:
    """Starts the probes that are due. `spawn` runs one in the background.

    `verdict` is told of each probe's rule, whether the verdict changed, and whether somebody waits for it.
    """

    def __init__(
        self,
        beliefs: Beliefs,
        prober: Prober,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        verdict: Callable[[str, bool, bool], None],
    ) -> None:
        self._beliefs = beliefs
        self._prober = prober
        self._clock = clock
        self._spawn = spawn
        self._verdict = verdict
        self._running: dict[bool, set[str]] = {True: set(), False: set()}

    async def turn(self) -> None:
        """Start what is due, as far as there is room."""
        now = self._clock.monotonic()
        due = [id_ for id_, belief in self._beliefs.of.items() if belief.probe_at <= now]
        for id_ in due:
            pressing = self._presses(id_, self._beliefs.of[id_])
            running = self._running[pressing]
            if len(running) < AT_ONCE and not any(id_ in ids for ids in self._running.values()):
                running.add(id_)
                self._spawn(self._probe(id_, running))

    async def _probe(self, id_: str, running: set[str]) -> None:
        rule, belief = self._beliefs.rules.get(id_), self._beliefs.of.get(id_)
        if rule is None or belief is None:
            running.discard(id_)
            return
        belief.probed_at = self._clock.monotonic()
        try:
            accepts, status = await self._prober.look(rule)
        finally:
            running.discard(id_)
        if self._beliefs.rules.get(id_) != rule:
            return  # it was about other targets
        self._learn(id_, belief, accepts, status)

    def _learn(self, id_: str, belief: Belief, accepts: bool, status: int | None) -> None:  # noqa: FBT001
        waited_for = self._waited_for(id_, belief)
        changed = (accepts, status) != (belief.accepts, belief.status)
        belief.accepts, belief.status, belief.seen_at = accepts, status, self._clock.now()
        belief.failures = 0 if accepts else belief.failures + 1
        if accepts:
            belief.first_woken = None
        belief.probe_at = self._clock.monotonic() + self._pause(id_, belief)
        self._verdict(id_, changed, waited_for)

    def _presses(self, id_: str, belief: Belief) -> bool:
        return belief.doubtful or self._waited_for(id_, belief)

    def _waited_for(self, id_: str, belief: Belief) -> bool:
        """By a client, or by the control plane, which drains it."""
        drained = self._beliefs.config.is_drained(id_, self._clock.now())
        return drained or belief.waiting(self._clock.monotonic())

    def _pause(self, id_: str, belief: Belief) -> float:
        if self._presses(id_, belief):
            return PENDING_PROBE
        if not belief.accepts and not self._beliefs.startable(id_):
            return ABSENT_PROBE
        # Spread, because a new configuration makes all of them due at once.
        return self._beliefs.rules[id_].probe.interval * random.uniform(0.8, 1.0)  # noqa: S311
