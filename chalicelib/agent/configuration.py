"""The configuration: polled, kept for bad times, rendered for Envoy, and followed until Envoy has it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

from chalicelib.agent.control_plane import Unreachable
from chalicelib.agent.verifier import Outcome
from chalicelib.agent.xds import atomic_write
from chalicelib.envoy.compact import (
    CompactConfig,
    CompactError,
    parse_balancers,
    parse_certificates,
    parse_rules,
    parse_states,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from chalicelib.agent.beliefs import Beliefs
    from chalicelib.agent.clock import Clock
    from chalicelib.agent.control_plane import ControlPlane
    from chalicelib.agent.verifier import Verifier
    from chalicelib.agent.xds import XdsFiles

log = logging.getLogger(__name__)

SAVE_AGAIN = 30.0
BESIDE_RULES = ("certificates", "balancer_cidrs")
"""What else the part `rules` has, left out of it where there is none."""


class Configuration:
    """Two jobs that run beside each other: `poll` adopts, `apply` writes what is adopted and what time makes of it.

    `changed` is set when there is something to apply. `send_again` is told from when on heartbeats are missed.
    `loaded` answers the names of the secrets that Envoy can read.
    """

    def __init__(
        self,
        state_dir: Path,
        plane: ControlPlane,
        beliefs: Beliefs,
        files: XdsFiles,
        verifier: Verifier,
        clock: Clock,
        send_again: Callable[[str], None],
        loaded: Callable[[], Collection[str]],
    ) -> None:
        self._last_good = state_dir / "config.json"
        self._plane = plane
        self._beliefs = beliefs
        self._files = files
        self._verifier = verifier
        self._clock = clock
        self._send_again = send_again
        self._loaded = loaded
        self._raw: dict[str, Any] = {"rules": [], "states": []}
        self._saved = self._raw
        self._save_at = 0.0
        self._known = False
        self._refused: str | None = None
        self._in_force: tuple[object, ...] | None = None
        self._back: frozenset[str] = frozenset()
        self.changed = asyncio.Event()

    def load_last_good(self) -> None:
        """Serve what was served before we were started, until the control plane answers."""
        try:
            raw = json.loads(self._last_good.read_text())
            config = _parsed(raw)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("the last good configuration is unreadable: %s", error)
            return
        self._raw = self._saved = raw
        self._known = True
        self._beliefs.adopt(config, None, self._clock.now())
        self.changed.set()

    async def poll(self) -> None:
        """Ask whether anything changed, and adopt it. One that we do not understand is refused whole."""
        try:
            answer = await self._plane.poll(self._beliefs.etag)
        except Unreachable as error:
            log.warning("the control plane does not answer; running on the last configuration: %s", error)
            return
        if answer is None:
            return
        etag, body = answer
        if etag != self._beliefs.etag:
            self._adopt(etag, body)
        resend_from = body.get("resend_from")
        if isinstance(resend_from, str):
            self._send_again(resend_from)

    def _adopt(self, etag: str, body: dict[str, Any]) -> None:
        raw = self._raw | {part: body[part]["items"] for part in ("rules", "states") if body.get(part)}
        if body.get("rules"):
            raw |= {name: body["rules"].get(name) or [] for name in BESIDE_RULES}
        try:
            config = _parsed(raw)
        except CompactError as error:
            if etag != self._refused:
                self._refused = etag
                log.error("configuration %s is refused and the last good one kept: %s", etag, error)  # noqa: TRY400
                self._verifier.tell(Outcome(etag.strip('"'), self._clock.now(), (str(error)[:1000],)))
            return
        self._raw, self._refused, self._known = raw, None, True
        self._beliefs.adopt(config, etag, self._clock.now())
        self.changed.set()

    async def apply(self) -> None:
        """Write Envoy's files if the configuration, the drained or the absent rules are others than they were."""
        beliefs, raw = self._beliefs, self._raw
        config, etag = beliefs.config, beliefs.etag
        drained, absent, loaded = config.drained(self._clock.now()), beliefs.absent(), self._loaded()
        wanted = (etag, drained, absent, loaded, beliefs.let_go, dict(beliefs.addresses))
        again = self._verifier.write_again()
        if wanted != self._in_force or again:
            before = await self._verifier.before()
            self._files.has(self._verifier.has)
            versions = await asyncio.to_thread(
                self._files.write, config, drained, absent, loaded, beliefs.let_go, again=again
            )
            self._in_force = wanted
            self._verifier.expect((etag or "").strip('"'), versions, before, known=self._known)
        if self._verifier.refused != self._back:
            await asyncio.to_thread(self._put_back)
        sound = self._verifier.sound == (etag or "").strip('"')
        if raw is not self._saved and sound and self._clock.monotonic() >= self._save_at:
            await self._save(raw)

    def _put_back(self) -> None:
        """Routes that Envoy has refused: it goes on with the last good ones, and a restarted one must find them."""
        verifier = self._verifier
        for name in verifier.refused - self._back:
            if self._files.put_back(name, verifier.has.get(name)):
                log.warning("%s is put back to what Envoy has", name)
        self._back = verifier.refused

    async def _save(self, raw: dict[str, Any]) -> None:
        """Only what Envoy could begin with is kept for the next start; a full disk keeps nothing from being served."""
        self._save_at = self._clock.monotonic() + SAVE_AGAIN
        try:
            await asyncio.to_thread(self._last_good.parent.mkdir, parents=True, exist_ok=True)
            await asyncio.to_thread(atomic_write, self._last_good, json.dumps(raw), durable=True)
            self._saved, self._save_at = raw, 0.0
        except OSError:
            log.exception("the configuration could not be kept for the next start")


def _parsed(raw: dict[str, Any]) -> CompactConfig:
    """Raises CompactError, and KeyError for a part that is not there."""
    rules, states = parse_rules(raw["rules"]), parse_states(raw["states"])
    certificates, balancers = (raw.get(name, []) for name in BESIDE_RULES)
    return CompactConfig(rules, states, parse_certificates(certificates), parse_balancers(balancers))
