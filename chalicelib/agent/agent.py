"""The agent's loops, each with one job, around the same beliefs."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp

from chalicelib.agent.beliefs import Beliefs
from chalicelib.agent.control_plane import ControlPlane, Unreachable
from chalicelib.agent.prober import probe
from chalicelib.agent.shipper import CloudWatchSink, Spool
from chalicelib.agent.tailer import Tailer
from chalicelib.agent.warm_up_server import WarmUpServer
from chalicelib.agent.xds import XdsFiles, atomic_write
from chalicelib.envoy.activity import Activity
from chalicelib.envoy.compact import CompactConfig, CompactError, parse_rules, parse_states

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chalicelib.agent.settings import Settings

log = logging.getLogger(__name__)

FOLLOW = 0.02
WAKE_AGAIN = 2.0
HELD_AFTER = 2.0
PENDING_POLL = 1.0
PENDING_PROBE = 0.4
CALM_PROBE = 10.0
REPORT_EVERY = 10.0
DRAIN_BEAT = 2.0
LARGEST_LOG = 16 * 1024 * 1024
MARGIN = timedelta(milliseconds=50)
"""Envoy's record of a moment is in the file 0.8 ms later (measured, research/envoy.md): this is sixty times that."""


class Agent:
    """One process, one event loop. `run` returns when `stop` is called."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session
        self._plane = ControlPlane(settings, session)
        self._beliefs = Beliefs()
        self._raw: dict[str, Any] = {"rules": [], "states": []}
        self._files = XdsFiles(settings)
        self._spool = Spool(settings)
        self._tailer = Tailer(settings.access_log, self._spool.position)
        self._activity = Activity()
        self._sink = CloudWatchSink(settings)
        self._hole = not self._tailer.continued
        self._held_since: dict[str, float] = {}
        self._report_now = asyncio.Event()
        self._poll_now = asyncio.Event()
        self._beat_now = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked_again_at = 0.0
        self._applied: dict[str, Any] = {}

    def stop(self) -> None:
        """End after a last heartbeat."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve the last good configuration at once, then everything else."""
        self._load_last_good()
        runner = await WarmUpServer(self._beliefs, self._wake).start(self._settings.run_dir / "warm-up.sock")
        loops = [
            self._forever(self._poll, self._poll_pause, self._poll_now),
            self._forever(self._follow, lambda: FOLLOW),
            self._forever(self._watch, lambda: 0.1),
            self._forever(self._report, lambda: REPORT_EVERY, self._report_now),
            self._forever(self._beat, self._beat_pause, self._beat_now),
        ]
        tasks = [asyncio.create_task(loop) for loop in loops]
        await self._stopping.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._follow()
        await self._beat()
        await runner.cleanup()

    async def _forever(
        self, job: Callable[[], Awaitable[None]], pause: Callable[[], float], early: asyncio.Event | None = None
    ) -> None:
        """Do a job again and again; a failure of one turn is logged, and the next turn comes."""
        while True:
            try:
                await job()
            except (OSError, ValueError, KeyError, aiohttp.ClientError, TimeoutError):
                log.exception("%s failed; it goes on", job.__name__)
            if early is None:
                await asyncio.sleep(pause())
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(early.wait(), pause())
            early.clear()

    # Configuration

    def _load_last_good(self) -> None:
        path = self._settings.state_dir / "config.json"
        if path.exists():
            try:
                self._raw = json.loads(path.read_text())
                config = CompactConfig(parse_rules(self._raw["rules"]), parse_states(self._raw["states"]))
                self._beliefs.adopt(config, None)
            except (ValueError, KeyError) as error:
                log.warning("the last good configuration is unreadable: %s", error)
        self._apply()

    def _poll_pause(self) -> float:
        now = time.monotonic()
        pending = any(b.waiting(now) for b in self._beliefs.of.values())
        if pending or self._beliefs.config.drained(datetime.now(UTC)):
            return PENDING_POLL
        return self._settings.poll_seconds * random.uniform(0.9, 1.1)  # noqa: S311  (jitter, not a secret)

    async def _poll(self) -> None:
        try:
            answer = await self._plane.poll(self._beliefs.etag)
        except Unreachable as error:
            log.warning("the control plane does not answer; running on the last configuration: %s", error)
            return
        if answer is None:
            return
        etag, body = answer
        raw = {part: (body[part]["items"] if body.get(part) else self._raw[part]) for part in ("rules", "states")}
        try:
            config = CompactConfig(parse_rules(raw["rules"]), parse_states(raw["states"]))
        except CompactError as error:
            log.error("the configuration is refused and the last good one kept: %s", error)  # noqa: TRY400
            self._applied = {"rejected": {"at": _now(), "errors": [str(error)]}}
            self._report_now.set()
            return
        changed = etag != self._beliefs.etag
        self._raw = raw
        self._beliefs.adopt(config, etag)
        self._settings.state_dir.mkdir(parents=True, exist_ok=True)
        atomic_write(self._settings.state_dir / "config.json", json.dumps(raw))
        self._apply()
        if changed:
            self._applied = {"applied": {"at": _now()}}
            self._report_now.set()
            if config.drained(datetime.now(UTC)):
                self._beat_now.set()
        self._send_again(body.get("resend_from"))

    def _apply(self) -> None:
        drained = self._beliefs.config.drained(datetime.now(UTC))
        if self._files.write(self._beliefs.config, drained, self._beliefs.absent()):
            log.info("configuration %s is written", self._beliefs.etag)

    # Watching

    async def _follow(self) -> None:
        """Read what Envoy wrote; wake for whoever came."""
        now = datetime.now(UTC)
        for line in self._tailer.lines():
            started = self._activity.feed(line)
            if started is not None and not self._beliefs.known_up(started.rule, now):
                kind = "tcp" if started.tcp else "http"
                cause = {"kind": kind, "source": started.source, "port": started.port}
                self._wake(started.rule, cause | {"host": started.host, "path": started.path})
        if self._tailer.size > LARGEST_LOG:
            await self._rotate()

    async def _rotate(self) -> None:
        log_file = self._settings.access_log
        log_file.rename(log_file.with_suffix(".old"))
        connector = aiohttp.UnixConnector(str(self._settings.run_dir / "admin.sock"))
        async with aiohttp.ClientSession(connector=connector) as admin, admin.post("http://envoy/reopen_logs"):
            await asyncio.sleep(FOLLOW)
        for line in self._tailer.lines():
            self._activity.feed(line)
        self._tailer.rotated()

    async def _watch(self) -> None:
        """Held clients, drains that end by themselves, and probes."""
        now = time.monotonic()
        held = self._activity.held
        self._held_since = {stream: self._held_since.get(stream, now) for stream in held}
        for stream, since in self._held_since.items():
            if now - since >= HELD_AFTER:
                started = held[stream]
                self._wake(started.rule, {"kind": "held", "source": started.source, "port": started.port})
        await asyncio.gather(*(self._probe(id_, now) for id_ in self._beliefs.of))
        self._apply()

    async def _probe(self, rule_id: str, now: float) -> None:
        belief = self._beliefs.of[rule_id]
        drained = rule_id in self._beliefs.config.drained(datetime.now(UTC))
        pause = PENDING_PROBE if belief.waiting(now) or drained or belief.accepts is None else CALM_PROBE
        if now - belief.probed < pause:
            return
        belief.probed = now
        accepts, status = await probe(self._beliefs.rules[rule_id], self._session)
        changed = accepts != belief.accepts
        belief.accepts, belief.status, belief.seen_at = accepts, status, datetime.now(UTC)
        if accepts:
            belief.first_woken = None
        if changed:
            self._report_now.set()

    # Telling

    def _wake(self, rule_id: str, cause: dict[str, Any]) -> None:
        """Ask at once, then at most every two seconds for as long as somebody waits."""
        belief = self._beliefs.of.get(rule_id)
        now = time.monotonic()
        if belief is None or not self._beliefs.startable(rule_id):
            return
        if belief.woken is not None and now - belief.woken < WAKE_AGAIN:
            return
        belief.woken = now
        belief.first_woken = belief.first_woken or now
        self._in_background(self._ask(rule_id, {k: v for k, v in cause.items() if v is not None}))

    async def _ask(self, rule_id: str, cause: dict[str, Any]) -> None:
        try:
            answers = await self._plane.warm_up([rule_id], cause)
        except Unreachable as error:
            log.warning("waking %s failed, it is tried again while somebody waits: %s", rule_id, error)
            return
        for answer in answers:
            belief = self._beliefs.of.get(str(answer.get("id")))
            if belief is not None:
                belief.progress = answer
                if answer.get("startable") is False:
                    self._poll_now.set()

    async def _report(self) -> None:
        if self._beliefs.etag is None:
            return
        rules = [
            {"id": id_, "accepts": bool(b.accepts), "status": b.status, "at": _stamp(b.seen_at)}
            for id_, b in self._beliefs.of.items()
            if b.seen_at is not None
        ]
        report = {"member": self._settings.member, "config": self._beliefs.etag.strip('"'), "rules": rules}
        try:
            await self._plane.report(report | self._applied)
        except Unreachable as error:
            log.warning("reporting failed: %s", error)

    # Activity

    def _beat_pause(self) -> float:
        return DRAIN_BEAT if self._beliefs.config.drained(datetime.now(UTC)) else self._settings.heartbeat_seconds

    async def _beat(self) -> None:
        """What was read up to a moment, and the claim that nothing else was there."""
        through = datetime.now(UTC) - MARGIN
        await self._follow()
        minutes = self._activity.take()
        config = (self._beliefs.etag or "").strip('"')
        self._spool.add(minutes, through, config, self._tailer.position, hole=self._hole)
        self._hole = False
        await self._ship()

    async def _ship(self) -> None:
        for sequence in self._spool.unsent():
            try:
                await asyncio.to_thread(self._sink.put, sequence.lines, sequence.through)
            except OSError as error:
                log.warning("shipping failed, it is tried again with the next heartbeat: %s", error)
                return
            self._spool.mark_sent(sequence)

    def _send_again(self, start: str | None) -> None:
        if start is None or time.monotonic() - self._asked_again_at < self._settings.heartbeat_seconds:
            return
        self._asked_again_at = time.monotonic()
        if not self._spool.send_again(datetime.fromisoformat(start)):
            self._hole = True
        self._beat_now.set()

    def _in_background(self, job: Any) -> None:  # noqa: ANN401  (a coroutine)
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _now() -> str:
    return _stamp(datetime.now(UTC))
