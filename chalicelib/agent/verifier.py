"""Has Envoy taken what was written? Only then is a configuration applied, and a drain a diversion."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.agent.envoy_admin import EnvoySilentError, Update

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from chalicelib.agent.clock import Clock
    from chalicelib.agent.envoy_admin import EnvoyAdmin

log = logging.getLogger(__name__)

FIRST_LOOK = 0.02
SLOWEST_LOOK = 1.0
"""A look costs Envoy 85 ms at 2,000 rules: each is twice as late as the one before."""

ROUTES = "rds:"
TAKEN_WITHIN = 10.0
WRITE_AGAIN = 30.0
"""Envoy does not try a port again that was taken; what it refused is written again after so many seconds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the configuration `etag`: applied, or not, and why not."""

    etag: str
    at: datetime
    errors: tuple[str, ...] = ()


@dataclass(slots=True)
class _Expected:
    etag: str
    versions: Mapping[str, str]
    before: Mapping[str, Update]
    since: float
    look_at: float
    known: bool
    pause: float = FIRST_LOOK
    refused_at: float | None = None


@dataclass(slots=True)
class Verifier:
    """Told what was written, asks Envoy until it has it. `tell` hears of each outcome of a configuration once.

    `diverted` is the newest configuration whose clusters Envoy has: all that a drain needs. A listener that Envoy
    refuses must not keep every other rule of this proxy from being stopped. `serving`: Envoy has had the clusters of a
    configuration that somebody wrote, and goes on with them whatever it refuses later.

    `sound` is the newest one that Envoy could begin with: of clusters and listeners it leaves out only the bad ones,
    but all routes of a port for one of them. `refused` are those routes, and `has` the version of each file that Envoy
    has taken last.
    """

    admin: EnvoyAdmin
    clock: Clock
    tell: Callable[[Outcome], None]
    diverted: str = ""
    sound: str = ""
    refused: frozenset[str] = frozenset()
    has: dict[str, str] = field(default_factory=dict)
    serving: bool = False
    _expected: _Expected | None = None
    _taken: dict[str, str] = field(default_factory=dict)
    _told: tuple[str, tuple[str, ...]] | None = None

    async def before(self) -> Mapping[str, Update]:
        """What Envoy has refused until now; to be asked before something is written."""
        try:
            return await self.admin.updates()
        except EnvoySilentError:
            return {}  # it is not there yet, and will begin to count at 0

    def expect(
        self, etag: str, versions: Mapping[str, str], before: Mapping[str, Update], *, known: bool = True
    ) -> None:
        """From now on this is to be in force. An empty `etag` (the last good one, after a start) has no outcome.

        `known` False: it is nobody's, only what a proxy has before its first poll.
        """
        now = self.clock.monotonic()
        self.refused = frozenset()
        self._expected = _Expected(etag, versions, before, now, now, known)

    def write_again(self) -> bool:
        """Whether what Envoy refused is due to be tried again."""
        refused_at = self._expected.refused_at if self._expected else None
        return refused_at is not None and self.clock.monotonic() - refused_at >= WRITE_AGAIN

    async def turn(self) -> None:
        """Look, if it is time to look."""
        expected, now = self._expected, self.clock.monotonic()
        if expected is None or now < expected.look_at:
            return
        expected.pause = min(expected.pause * 2, SLOWEST_LOOK)
        expected.look_at = now + expected.pause
        if dict(expected.versions) == self._taken:
            self._settled(expected)
            return
        late = now - expected.since > TAKEN_WITHIN
        try:
            found = await self.admin.updates()
            if expected is not self._expected:
                return  # something newer was written while Envoy answered
            missing = [kind for kind, version in expected.versions.items() if _version(found, kind) != version]
            self.has |= {kind: version for kind, version in expected.versions.items() if kind not in missing}
            if "cds" not in missing:
                self._diverts(expected)
            if not missing:
                self._taken = dict(expected.versions)
                self._settled(expected)
                return
            refused = [kind for kind in missing if _refused(found, kind) > _refused(expected.before, kind)]
            self._judge_routes(expected, missing, refused, late=late)
            if refused or late:
                words = await self._words(refused, missing)
                self._not_taken(expected, words)
        except EnvoySilentError as error:
            if late:
                self._not_taken(expected, (str(error),))

    def _judge_routes(self, expected: _Expected, missing: list[str], refused: list[str], *, late: bool) -> None:
        """Routes may be missing without being bad: nobody asks for them where their port was taken."""
        self.refused = frozenset(kind for kind in refused if kind.startswith(ROUTES))
        if not any(kind.startswith(ROUTES) for kind in missing) or (late and not self.refused):
            self.sound = expected.etag or self.sound

    def _settled(self, expected: _Expected) -> None:
        self._diverts(expected)
        self.sound = expected.etag or self.sound
        self._expected = None
        self._say(Outcome(expected.etag, self.clock.now()))

    def _diverts(self, expected: _Expected) -> None:
        self.diverted = expected.etag or self.diverted
        self.serving = self.serving or expected.known

    def _not_taken(self, expected: _Expected, words: tuple[str, ...]) -> None:
        """Say so, and go on looking: Envoy may come to it later, or take what is written again."""
        if expected is not self._expected:
            return  # something newer was written while Envoy answered
        self._taken = {}
        expected.pause = SLOWEST_LOOK
        expected.refused_at = expected.refused_at or self.clock.monotonic()
        self._say(Outcome(expected.etag, self.clock.now(), words))

    def _say(self, outcome: Outcome) -> None:
        said = (outcome.etag, outcome.errors)
        if not outcome.etag or said == self._told:
            return
        self._told = said
        if outcome.errors:
            log.error("Envoy has not taken configuration %s: %s", outcome.etag, "; ".join(outcome.errors))
        else:
            log.info("configuration %s is in force", outcome.etag)
        self.tell(outcome)

    async def _words(self, refused: list[str], missing: list[str]) -> tuple[str, ...]:
        """Envoy's own where it has any: it keeps none about clusters and routes, its log does."""
        words = await self.admin.refused_listeners() if "lds" in refused or "lds" in missing else []
        silent = [kind for kind in missing if not (kind == "lds" and words)]
        for kind in silent:
            what = "refused a change of" if kind in refused else f"has for {TAKEN_WITHIN:g} s not taken"
            words.append(f"Envoy {what} {kind}; its log says why")
        return tuple(words[:50])


def _version(found: Mapping[str, Update], kind: str) -> str:
    return found.get(kind, Update()).version


def _refused(found: Mapping[str, Update], kind: str) -> int:
    return found.get(kind, Update()).refused
