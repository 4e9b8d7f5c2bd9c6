"""What the control plane is told, and when: what changed, at most every ten seconds; what is waited for, at once."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib import __version__
from chalicelib.agent.clock import stamp
from chalicelib.agent.control_plane import Unreachable

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.agent.beliefs import Belief, Beliefs
    from chalicelib.agent.clock import Clock
    from chalicelib.agent.control_plane import ControlPlane
    from chalicelib.agent.verifier import Outcome

log = logging.getLogger(__name__)

REPORT_EVERY = 10.0
PRESSING_EVERY = 1.0
REFRESH = 240.0
"""What accepts is told again before its last report is so old. Each at a time of its own."""

VERSION_REFRESH = 3600.0
"""Our version goes with the first report and is told again: the control plane forgets who has not told for long."""

STARTED_REFRESH = 15.0
"""The control plane believes only what was seen after it asked AWS, and that may be some seconds after our wake."""

MOST_RULES = 500


@dataclass(slots=True)
class _Told:
    """What the control plane was told of a rule, and when it is to be told again, whatever it is."""

    accepts: bool
    status: int | None
    again_at: float


class Reporter:
    """Collects what is new and sends it. What could not be sent is sent with the next report."""

    def __init__(self, member: str, plane: ControlPlane, beliefs: Beliefs, clock: Clock) -> None:
        self._member = member
        self._plane = plane
        self._beliefs = beliefs
        self._clock = clock
        self._told: dict[str, _Told] = {}
        self._changed: set[str] = set()
        self._pressing: set[str] = set()
        self._asked: dict[str, datetime] = {}
        self._outcomes: dict[bool, Outcome] = {}
        self._secrets: list[dict[str, Any]] | None = None
        self._version_at: float | None = None
        self._sent_at: float | None = None
        self._scan_at = 0.0

    def verdict(self, rule_id: str, changed: bool, pressing: bool) -> None:  # noqa: FBT001
        """A probe has looked at a rule."""
        asked = self._asked.get(rule_id)
        seen = self._beliefs.of[rule_id].seen_at
        if asked is not None and seen is not None and seen > asked:
            del self._asked[rule_id]
            self._told.pop(rule_id, None)
            changed = pressing = True
        if changed:
            self._changed.add(rule_id)
            if pressing:
                self._pressing.add(rule_id)

    def asked(self, rule_id: str) -> None:
        """The control plane has answered a wake and will start it: the next verdict is news, whatever it is."""
        self._asked[rule_id] = self._clock.now()

    def outcome(self, outcome: Outcome) -> None:
        """What became of a configuration. The newest that is applied matters, and the newest that is not."""
        self._outcomes.pop(bool(outcome.errors), None)
        self._outcomes[bool(outcome.errors)] = outcome

    def secrets(self, lines: list[dict[str, Any]]) -> None:
        """What became of every certificate, to be told as a whole."""
        self._secrets = lines

    async def turn(self) -> None:
        """Send, if there is something to send and it is time."""
        now = self._clock.monotonic()
        stale = self._version_at is not None and now >= self._version_at
        pressing = bool(self._pressing or self._outcomes or self._secrets is not None or stale)
        wait = PRESSING_EVERY if pressing else REPORT_EVERY
        if self._beliefs.etag is None and not self._outcomes:
            return  # the control plane has not answered yet
        if self._sent_at is not None and now - self._sent_at < wait:
            return
        if not pressing and not self._changed and now < self._scan_at:
            return
        rules = self._news(now)
        if rules or self._outcomes or self._secrets is not None or stale:
            self._sent_at = now
            await self._send(rules, now)

    def _news(self, now: float) -> list[str]:
        """The rules to tell of, those that somebody waits for first."""
        of = self._beliefs.of
        self._told = {id_: told for id_, told in self._told.items() if id_ in of}
        self._asked = {id_: at for id_, at in self._asked.items() if id_ in of}
        # What changed and changed back is no news.
        self._changed = {id_ for id_ in self._changed if id_ in of and not self._knows(id_)}
        self._pressing &= self._changed
        due = {id_ for id_, told in self._told.items() if told.again_at <= now and of[id_].accepts}
        again = [told.again_at for id_, told in self._told.items() if id_ not in due and of[id_].accepts]
        self._scan_at = now if len(due) > MOST_RULES else min(again, default=now + REFRESH)
        news = [*self._pressing, *(self._changed - self._pressing), *(due - self._changed)]
        return [id_ for id_ in news if of[id_].seen_at is not None][:MOST_RULES]

    async def _send(self, ids: list[str], now: float) -> None:
        outcome, beliefs = next(iter(self._outcomes.values()), None), self._beliefs
        secrets = self._secrets
        sent = {id_: beliefs.of[id_] for id_ in ids}
        told = {
            id_: _Told(bool(belief.accepts), belief.status, now + self._fresh_for(belief, now))
            for id_, belief in sent.items()
        }
        etag = outcome.etag if outcome else (beliefs.etag or "").strip('"')
        report: dict[str, Any] = {
            "member": self._member,
            "config": etag,
            "rules": [_line(id_, belief) for id_, belief in sent.items()],
        }
        if outcome is not None:
            at = {"at": stamp(outcome.at)}
            report |= {"rejected": at | {"errors": list(outcome.errors)}} if outcome.errors else {"applied": at}
        if secrets is not None:
            report["secrets"] = secrets
        version = self._version_at is None or now >= self._version_at
        if version:
            report["agent"] = __version__
        try:
            await self._plane.report(report)
        except Unreachable as error:
            log.warning("reporting failed, it is sent with the next report: %s", error)
            return
        self._outcomes = {bad: kept for bad, kept in self._outcomes.items() if kept is not outcome}
        self._told |= told
        if version:
            self._version_at = now + VERSION_REFRESH
        if self._secrets is secrets:
            self._secrets = None
        self._scan_at = min([self._scan_at, *(one.again_at for one in told.values())])

    def _knows(self, id_: str) -> bool:
        """Whether the control plane was told just what we see."""
        told, belief = self._told.get(id_), self._beliefs.of[id_]
        return told is not None and (told.accepts, told.status) == (bool(belief.accepts), belief.status)

    def _fresh_for(self, belief: Belief, now: float) -> float:
        if belief.woken is not None and now - belief.woken < STARTED_REFRESH * 4:
            return STARTED_REFRESH
        return REFRESH * random.uniform(0.7, 0.95)  # noqa: S311  (spread, not a secret)


def _line(id_: str, belief: Belief) -> dict[str, Any]:
    at = belief.seen_at
    return {"id": id_, "accepts": bool(belief.accepts), "status": belief.status, "at": at and stamp(at)}
