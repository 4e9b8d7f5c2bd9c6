"""Certificates: asked for by version, proved before they are served; a bad one never replaces the last good one."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chalicelib.agent.clock import stamp
from chalicelib.agent.secret_source import SecretUnavailableError
from chalicelib.agent.vault import OnDiskError
from chalicelib.envoy.pem import BadPairError, examine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from chalicelib.agent.beliefs import Beliefs
    from chalicelib.agent.clock import Clock
    from chalicelib.agent.secret_source import SecretSource
    from chalicelib.agent.vault import Vault
    from chalicelib.envoy.certificates import CompactCertificate
    from chalicelib.envoy.pem import Pair

log = logging.getLogger(__name__)

_INOTIFY = "raise fs.inotify.max_user_instances"

RETRY = 30.0
"""Seconds after which what is missing or bad is asked for again: a rotation writes its two secrets one by one."""

TELL_AGAIN = 3600.0
"""The control plane forgets what it was told long ago: the member that told it may be no more."""

KEPT = 60.0
"""Seconds for which a secret that nobody needs any more stays: Envoy gives up the listeners of it first."""


@dataclass(frozen=True, slots=True)
class _Known:
    """One pair. `versions` are those that were last looked at, `served` is what Envoy has.

    `status` and `detail` are about what was last read, `away` about the last try to read.
    """

    due: float
    status: str = "missing"
    detail: str | None = None
    away: str | None = None
    versions: tuple[str, str] | None = None
    served: Pair | None = None


class Certificates:
    """`turn` keeps what Envoy reads as the configuration wants it.

    It looks `every` so many seconds, and serves `most` so many. `changed` is called when another set of secrets is
    there, `tell` with the whole report when it is another one.
    """

    def __init__(
        self,
        beliefs: Beliefs,
        source: SecretSource,
        vault: Vault,
        clock: Clock,
        every: float,
        most: int,
        changed: Callable[[], None],
        tell: Callable[[list[dict[str, Any]]], None],
    ) -> None:
        self._beliefs = beliefs
        self._source = source
        self._vault = vault
        self._clock = clock
        self._every = every
        self._most = most
        self._changed = changed
        self._tell = tell
        self._known: dict[str, _Known] = {}
        self._unused: dict[str, float] = {}
        self._told: list[dict[str, Any]] = []
        self._tell_at = 0.0
        # What a predecessor of ours left is there from the first moment: Envoy serves it.
        self.loaded: Collection[str] = frozenset(vault.names())

    async def turn(self) -> None:
        """Look at every pair whose time has come. What is gone from the configuration is forgotten."""
        wanted = {pair.name: pair for pair in self._beliefs.config.certificates}
        before = self._known
        # All of them before Secrets Manager is asked for the first, which may take long.
        self._known = {
            name: before[name] if name in before else await asyncio.to_thread(self._left, name) for name in wanted
        }
        if wanted or before:
            self._publish()
        for name, pair in wanted.items():
            if self._known[name].due <= self._clock.monotonic():
                self._known[name] = await asyncio.to_thread(self._look, pair, self._known[name])
                self._publish()
        self._report(wanted)
        await asyncio.to_thread(self._clean, wanted)

    def _left(self, name: str) -> _Known:
        """A pair that is new to us: what a predecessor left is served until Secrets Manager answers."""
        left = self._vault.get(name)
        return _Known(self._clock.monotonic(), "ok" if left else "missing", served=left)

    def _publish(self) -> None:
        loaded = frozenset(name for name, known in self._known.items() if known.served)
        if loaded != self.loaded:
            self.loaded = loaded
            self._changed()

    def _look(self, pair: CompactCertificate, known: _Known) -> _Known:
        """Ask for the versions, and for what is in them where they are others. Blocks."""
        now = self._clock.monotonic()
        later = now + self._every * random.uniform(0.9, 1.1)  # noqa: S311  (spread, not a secret)
        soon = now + min(RETRY, self._every)
        arns = dict.fromkeys((pair.certificate, pair.private_key))
        if known.served is None and len(self.loaded) >= self._most:
            return replace(known, due=later, detail=f"this machine lets Envoy watch {self._most} secrets; {_INOTIFY}")
        try:
            of = {arn: self._source.version(arn) for arn in arns}
            versions = (of[pair.certificate], of[pair.private_key])
            if versions == known.versions:
                return replace(known, due=later if known.status == "ok" else soon, away=None)
            texts = {arn: self._source.read(arn) for arn in arns}
            found = examine(texts[pair.certificate], texts[pair.private_key])
            problem = _untimely(found, self._clock.now())
            if problem is not None and known.served is not None:
                log.error("certificate of %s: %s", ", ".join(pair.hosts), problem[1])
                return _Known(soon, *problem, versions=versions, served=known.served)
            if known.served is None or (found.chain, found.key) != (known.served.chain, known.served.key):
                self._vault.put(pair.name, found)
                log.info("certificate of %s is in place until %s", ", ".join(pair.hosts), stamp(found.not_after))
        except SecretUnavailableError as error:
            return replace(known, due=soon, away=str(error))
        except (BadPairError, OnDiskError) as error:
            log.error("certificate of %s: %s", ", ".join(pair.hosts), error)  # noqa: TRY400
            seen = versions if isinstance(error, BadPairError) else None
            return _Known(soon, "invalid", str(error), versions=seen, served=known.served)
        return _Known(later, "ok", versions=versions, served=found)

    def _report(self, wanted: dict[str, CompactCertificate]) -> None:
        lines = [self._line(pair, self._known[name]) for name, pair in wanted.items() if name in self._known]
        now = self._clock.monotonic()
        if lines != self._told or (lines and now >= self._tell_at):
            self._told, self._tell_at = lines, now + TELL_AGAIN
            self._tell(lines)

    def _line(self, pair: CompactCertificate, known: _Known) -> dict[str, Any]:
        served, status, detail = known.served, known.status, known.detail or known.away
        problem = _untimely(served, self._clock.now()) if served else None
        if problem is not None:
            status, detail = problem
        elif served is not None and status != "ok":
            detail = f"{detail}; the last good one is served, until {stamp(served.not_after)}"
        return {
            "hosts": list(pair.hosts),
            "arn": pair.certificate,
            "status": status,
            "not_after": stamp(served.not_after) if served else None,
            "detail": detail[:500] if detail else None,
        }

    def _clean(self, wanted: Collection[str]) -> None:
        now = self._clock.monotonic()
        unused = self._vault.names() - set(wanted)
        self._unused = {name: self._unused.get(name, now) for name in unused}
        for name, since in self._unused.items():
            if now - since >= KEPT:
                self._vault.drop(name)


def _untimely(pair: Pair, now: datetime) -> tuple[str, str] | None:
    """The status and the words of a pair that no client takes now."""
    if pair.not_after <= now:
        return "expired", f"it expired at {stamp(pair.not_after)}"
    return ("invalid", f"it is not valid before {stamp(pair.not_before)}") if now < pair.not_before else None
