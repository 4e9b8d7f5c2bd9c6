"""The agent: its parts put together, and its loops, each with one job, around the same beliefs."""

from __future__ import annotations

import asyncio
import logging
import random
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from chalicelib.agent.beliefs import Beliefs
from chalicelib.agent.certificates import Certificates
from chalicelib.agent.configuration import Configuration
from chalicelib.agent.follower import Follower
from chalicelib.agent.health import Health, HealthServer
from chalicelib.agent.heartbeats import Heartbeats, until_beat
from chalicelib.agent.loops import forever
from chalicelib.agent.names import Names, SystemResolver
from chalicelib.agent.prober import ProbeSchedule
from chalicelib.agent.reporter import Reporter
from chalicelib.agent.spool import Spool
from chalicelib.agent.status import EVERY, Status, WatchedPlane, WatchedSink
from chalicelib.agent.tailer import Tailer
from chalicelib.agent.vault import Vault, most_secrets
from chalicelib.agent.verifier import Verifier
from chalicelib.agent.waker import Waker
from chalicelib.agent.warm_up_server import WarmUpServer
from chalicelib.agent.xds import XdsFiles
from chalicelib.envoy.activity import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from chalicelib.agent.clock import Clock
    from chalicelib.agent.cloudwatch import LogSink
    from chalicelib.agent.control_plane import ControlPlane
    from chalicelib.agent.envoy_admin import EnvoyAdmin
    from chalicelib.agent.names import Resolver
    from chalicelib.agent.prober import Prober
    from chalicelib.agent.secret_source import SecretSource
    from chalicelib.agent.settings import Settings
    from chalicelib.agent.verifier import Outcome

log = logging.getLogger(__name__)

FOLLOW = 0.02
REMIND = 0.5
PROBE = 0.1
APPLY = 0.1
VERIFY = 0.02
REPORT = 0.2
CERTIFY = 0.2
RESOLVE = 0.2
LISTEN = 5.0
PENDING_POLL = 1.0
DRAIN_BEAT = 2.0


class Agent:
    """One process, one event loop. `run` returns when `stop` is called, and raises when one of its loops dies."""

    def __init__(
        self,
        settings: Settings,
        plane: ControlPlane,
        prober: Prober,
        admin: EnvoyAdmin,
        sink: LogSink,
        secrets: SecretSource,
        clock: Clock,
        key_trouble: Callable[[], str | None] = lambda: None,
        resolver: Resolver | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._beliefs = Beliefs()
        self._poll_now = asyncio.Event()
        self._stopping = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        said = plane
        status = self._status = Status(settings, self._beliefs, clock, lambda: said.carries, key_trouble=key_trouble)
        plane, sink = WatchedPlane(plane, status.plane, clock), WatchedSink(sink, status.logs, clock)
        activity = Activity(self._beliefs.ignored, self._beliefs.idle_bytes, self._beliefs.balancers)
        spool = Spool(settings)
        activity.restore(spool.minutes(), spool.streams)
        tailer = Tailer(settings.access_log, spool.position)
        self._reporter = Reporter(settings.member, plane, self._beliefs, clock)
        self._waker = Waker(plane, self._beliefs, clock, self._spawn, self._reporter.asked, self._poll_now.set)
        self._follower = Follower(
            tailer, activity, self._beliefs, admin, clock, self._waker.wake, settings.periodic_seconds
        )
        self._verifier = Verifier(admin, clock, self._outcome)
        self._health = HealthServer(
            Health(admin, lambda: self._verifier.serving, clock), settings.bind_address, settings.health_port
        )
        self._heartbeats = Heartbeats(
            self._follower,
            spool,
            sink,
            admin,
            clock,
            lambda: self._verifier.diverted,
            settings.heartbeat_seconds,
        )
        self._probes = ProbeSchedule(self._beliefs, prober, clock, self._spawn, self._reporter.verdict)
        self._configuration = Configuration(
            settings.state_dir,
            plane,
            self._beliefs,
            XdsFiles(settings),
            self._verifier,
            clock,
            self._heartbeats.send_again,
            lambda: self._certificates.loaded,
        )
        self._certificates = Certificates(
            self._beliefs,
            secrets,
            Vault(settings.secrets),
            clock,
            settings.secret_seconds,
            most_secrets(),
            self._configuration.changed.set,
            self._certified,
        )

        loopback = ip_address(settings.bind_address).is_loopback
        changed = self._configuration.changed.set
        kept = settings.state_dir / "addresses.json"
        self._names = Names(self._beliefs, resolver or SystemResolver(), clock, changed, kept, loopback=loopback)

    def stop(self) -> None:
        """End after a last heartbeat."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve the last good configuration at once, then everything else."""
        self._names.load()
        self._configuration.load_last_good()
        server = WarmUpServer(self._beliefs, self._waker.wake, self._clock)
        runner = await server.start(self._settings.run_dir / "warm-up.sock")
        heartbeats = self._heartbeats
        try:
            async with self._group:
                loops = [
                    forever(self._configuration.apply, lambda: APPLY, self._configuration.changed),
                    forever(self._configuration.poll, self._poll_pause, self._poll_now),
                    forever(self._verifier.turn, lambda: VERIFY),
                    forever(self._follower.follow, lambda: FOLLOW),
                    forever(self._follower.remind, lambda: REMIND),
                    forever(self._probes.turn, lambda: PROBE),
                    forever(self._names.turn, lambda: RESOLVE),
                    forever(self._certificates.turn, lambda: CERTIFY),
                    forever(self._reporter.turn, lambda: REPORT),
                    forever(self._status.turn, lambda: EVERY),
                    forever(self._health.open, lambda: LISTEN),
                    forever(heartbeats.beat, self._beat_pause, heartbeats.beat_now),
                    forever(heartbeats.ship, lambda: self._settings.heartbeat_seconds, heartbeats.ship_now),
                ]
                for loop in loops:
                    self._spawn(loop)
                await self._stopping.wait()
                await self._end_all()
                await heartbeats.beat()
                await heartbeats.ship()
                await self._end_all()
        finally:
            await self._health.close()
            await runner.cleanup()

    def _spawn(self, job: Coroutine[Any, Any, None]) -> None:
        """Beside everything else. A defect in it ends the agent."""
        task = self._group.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end_all(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _outcome(self, outcome: Outcome) -> None:
        self._reporter.outcome(outcome)
        self._status.outcome(outcome)
        if self._beliefs.config.drained(self._clock.now()):
            # The control plane waits for evidence from after the diversion.
            self._heartbeats.beat_now.set()

    def _certified(self, lines: list[dict[str, Any]]) -> None:
        self._reporter.secrets(lines)
        self._status.secrets(lines)

    def _poll_pause(self) -> float:
        now = self._clock.monotonic()
        pending = any(belief.waiting(now) for belief in self._beliefs.of.values())
        if pending or self._beliefs.config.drained(self._clock.now()):
            return min(PENDING_POLL, self._settings.poll_seconds)
        return self._settings.poll_seconds * random.uniform(0.9, 1.1)  # noqa: S311  (jitter, not a secret)

    def _beat_pause(self) -> float:
        now = self._clock.now()
        return DRAIN_BEAT if self._beliefs.config.drained(now) else until_beat(now, self._settings.heartbeat_seconds)
