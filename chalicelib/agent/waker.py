"""Asking the control plane for rules that somebody waits for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from chalicelib.agent.control_plane import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from chalicelib.agent.beliefs import Beliefs
    from chalicelib.agent.clock import Clock
    from chalicelib.agent.control_plane import ControlPlane

log = logging.getLogger(__name__)

WAKE_AGAIN = 2.0
NEW_WAIT = 60.0
"""Who comes so long after the last one who waited does not wait since then."""


class Waker:
    """At once, then at most every two seconds for as long as somebody waits.

    `spawn` runs a call in the background. `answered` is told once a wait of a rule that the control plane has
    answered about; `poll_soon` is called when somebody begins to wait, and when we learn that our configuration is old.
    """

    def __init__(
        self,
        plane: ControlPlane,
        beliefs: Beliefs,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        answered: Callable[[str], None],
        poll_soon: Callable[[], None],
    ) -> None:
        self._plane = plane
        self._beliefs = beliefs
        self._clock = clock
        self._spawn = spawn
        self._answered = answered
        self._poll_soon = poll_soon

    def wake(self, rule_id: str, cause: dict[str, Any]) -> None:
        """Somebody is there; what may not start, or was asked for just now, is not asked for."""
        belief = self._beliefs.of.get(rule_id)
        if belief is None or not self._beliefs.startable(rule_id):
            return
        now = self._clock.monotonic()
        if belief.woken is not None and now - belief.woken < WAKE_AGAIN:
            return
        if belief.woken is None or now - belief.woken > NEW_WAIT or belief.first_woken is None:
            belief.first_woken, belief.progress = now, {}
            self._poll_soon()
        belief.woken = now
        # Somebody met no target: whatever we believed, look again.
        belief.probe_at = min(belief.probe_at, now)
        self._spawn(self._ask(rule_id, {key: value for key, value in cause.items() if value is not None}))

    async def _ask(self, rule_id: str, cause: dict[str, Any]) -> None:
        try:
            answers = await self._plane.warm_up([rule_id], cause)
        except Unreachable as error:
            log.warning("waking %s failed, it is tried again while somebody waits: %s", rule_id, error)
            return
        for answer in answers:
            id_ = str(answer.get("id"))
            belief = self._beliefs.of.get(id_)
            if belief is not None:
                if not belief.progress:
                    self._answered(id_)
                belief.progress = answer
                if answer.get("startable") is False:
                    self._poll_soon()
