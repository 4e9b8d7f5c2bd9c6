"""What the agent would tell somebody who logs in on the VM: written to a file, and read by `--status`."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from chalicelib import __version__
from chalicelib.agent.clock import stamp
from chalicelib.agent.control_plane import Unreachable
from chalicelib.agent.versions import COMMAND, is_newer
from chalicelib.agent.xds import atomic_write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from chalicelib.agent.beliefs import Beliefs
    from chalicelib.agent.clock import Clock
    from chalicelib.agent.cloudwatch import LogSink
    from chalicelib.agent.control_plane import ControlPlane
    from chalicelib.agent.settings import Settings
    from chalicelib.agent.verifier import Outcome

T = TypeVar("T")

EVERY = 5.0
STALE = timedelta(seconds=30)
"""A file that is older tells that the agent is dead, or hangs."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Contact:
    """How it stands with somebody whom we call: when it last went well, and what went wrong since."""

    ok_at: datetime | None = None
    error: str | None = None
    error_at: datetime | None = None

    def well(self, now: datetime) -> None:
        """The last call went well."""
        self.ok_at, self.error, self.error_at = now, None, None

    def wrong(self, error: Exception, now: datetime) -> None:
        """It did not; since when, is kept."""
        self.error, self.error_at = str(error)[:300], self.error_at or now

    def view(self) -> dict[str, Any]:
        """As JSON."""
        return {"ok_at": _stamp(self.ok_at), "error": self.error, "error_since": _stamp(self.error_at)}


@dataclass(slots=True)
class Status:
    """Collects, and writes the file. `rejected` is what Envoy, or we, refused of the newest configuration.

    `carried` answers the version of the agent that the control plane has; one that is newer than ours is logged once.
    """

    settings: Settings
    beliefs: Beliefs
    clock: Clock
    carried: Callable[[], str | None] = lambda: None
    version: str = __version__
    plane: Contact = field(default_factory=Contact)
    logs: Contact = field(default_factory=Contact)
    applied: str | None = None
    rejected: tuple[str, tuple[str, ...]] | None = None
    key_trouble: Callable[[], str | None] = lambda: None
    certificates: list[dict[str, Any]] = field(default_factory=list)
    _said: str | None = None

    def secrets(self, lines: list[dict[str, Any]]) -> None:
        """What became of every certificate."""
        self.certificates = lines

    def outcome(self, outcome: Outcome) -> None:
        """What became of a configuration."""
        if outcome.errors:
            self.rejected = (outcome.etag, tuple(outcome.errors))
        else:
            self.applied, self.rejected = outcome.etag, None

    async def turn(self) -> None:
        """Write it. A full disk is no reason to stop serving."""
        newer = self._newer()
        if newer is not None and newer != self._said:
            self._said = newer
            log.warning("the control plane carries agent %s, this is %s: %s", newer, self.version, COMMAND)
        try:
            await asyncio.to_thread(atomic_write, file_of(self.settings), json.dumps(self._view()))
        except OSError as error:
            log.warning("the status could not be written: %s", error)

    def _newer(self) -> str | None:
        carried = self.carried()
        return carried if carried is not None and is_newer(carried, self.version) else None

    def _view(self) -> dict[str, Any]:
        now, mono, beliefs = self.clock.now(), self.clock.monotonic(), self.beliefs
        rules = [
            {
                "id": id_,
                "accepts": belief.accepts,
                "seen_at": _stamp(belief.seen_at),
                "waited_for": belief.waiting(mono),
                "startable": beliefs.startable(id_),
                "drained": beliefs.config.is_drained(id_, now),
            }
            for id_, belief in sorted(beliefs.of.items())
        ]
        return {
            "at": stamp(now),
            "agent": self.version,
            "newer_agent": self._newer(),
            "load_balancer_id": self.settings.load_balancer_id,
            "member": self.settings.member,
            "configuration": {
                "adopted": (beliefs.etag or "").strip('"') or None,
                "applied": self.applied,
                "rejected": self.rejected and {"configuration": self.rejected[0], "errors": list(self.rejected[1])},
            },
            "control_plane": self.plane.view(),
            "logs": self.logs.view(),
            "key": {"trouble": self.key_trouble()},
            "certificates": self.certificates,
            "rules": rules,
        }


class WatchedPlane:
    """A ControlPlane whose calls are noted."""

    def __init__(self, plane: ControlPlane, contact: Contact, clock: Clock) -> None:
        self._plane, self._contact, self._clock = plane, contact, clock

    @property
    def carries(self) -> str | None:
        return self._plane.carries

    async def poll(self, etag: str | None) -> tuple[str, dict[str, Any]] | None:
        return await self._noted(self._plane.poll(etag))

    async def warm_up(self, rule_ids: list[str], cause: dict[str, Any]) -> list[dict[str, Any]]:
        return await self._noted(self._plane.warm_up(rule_ids, cause))

    async def report(self, report: dict[str, Any]) -> None:
        await self._noted(self._plane.report(report))

    async def _noted(self, call: Awaitable[T]) -> T:
        try:
            answer = await call
        except Unreachable as error:
            self._contact.wrong(error, self._clock.now())
            raise
        self._contact.well(self._clock.now())
        return answer


class WatchedSink:
    """A LogSink whose calls are noted."""

    def __init__(self, sink: LogSink, contact: Contact, clock: Clock) -> None:
        self._sink, self._contact, self._clock = sink, contact, clock

    def put(self, lines: list[str], at: datetime) -> None:
        try:
            self._sink.put(lines, at)
        except OSError as error:
            self._contact.wrong(error, self._clock.now())
            raise
        self._contact.well(self._clock.now())


def file_of(settings: Settings) -> Path:
    """Where it is: beside Envoy's files, gone with a reboot."""
    return settings.run_dir / "status.json"


def told(text: str, now: datetime) -> tuple[bool, str]:
    """Whether all is well, and the status in words, from what the file holds. Raises ValueError for anything else."""
    status = json.loads(text)
    age = now - datetime.fromisoformat(status["at"])
    troubles = list(_troubles(status, age))
    configuration, rules = status["configuration"], status["rules"]
    accepting = sum(1 for rule in rules if rule["accepts"])
    lines = [
        f"autostop-agent {status['agent']} of {status['load_balancer_id']}/{status['member']}, as of {status['at']}",
        f"configuration {configuration['adopted'] or 'none'}, in Envoy {configuration['applied'] or 'none yet'}",
        f"control plane: last answer {status['control_plane']['ok_at'] or 'never'}",
        f"activity log: last written {status['logs']['ok_at'] or 'never'}",
        f"{len(rules)} rules, {accepting} accept",
    ]
    lines += [f"  {rule['id']}: {_words(rule)}" for rule in rules]
    if status.get("newer_agent"):
        # No trouble: what runs, runs on, and when to upgrade is for people to say.
        lines.append(f"NEWER: the control plane carries agent {status['newer_agent']}: {COMMAND}")
    lines += [f"TROUBLE: {trouble}" for trouble in troubles] or ["all is well"]
    return not troubles, "\n".join(lines) + "\n"


def _troubles(status: dict[str, Any], age: timedelta) -> Iterator[str]:
    if age > STALE:
        yield f"the agent has written nothing for {int(age.total_seconds())} s: it is dead, or it hangs"
    rejected = status["configuration"]["rejected"]
    if rejected:
        yield f"configuration {rejected['configuration']} was rejected: {'; '.join(rejected['errors'])}"
    for name, contact in (("the control plane", status["control_plane"]), ("the activity log", status["logs"])):
        if contact["error"]:
            yield f"{name} fails since {contact['error_since']}: {contact['error']}"
    if status.get("key", {}).get("trouble"):
        yield f"the API key cannot be read, the last one is used on: {status['key']['trouble']}"
    for line in status.get("certificates", []):
        if line["status"] != "ok" or line["detail"]:
            yield f"certificate of {', '.join(line['hosts'])} is {line['status']}: {line['detail']}"


def _words(rule: dict[str, Any]) -> str:
    words = "accepts" if rule["accepts"] else "not probed yet" if rule["accepts"] is None else "does not accept"
    more = [("waited_for", "somebody waits"), ("drained", "drained")]
    notes = [text for name, text in more if rule[name]] + ([] if rule["startable"] else ["may not start"])
    return ", ".join([words, *notes])


def _stamp(at: datetime | None) -> str | None:
    return None if at is None else stamp(at)
