"""A control plane that is the real use cases, in memory and in real time, for real proxies."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

from chalicelib.domain.resources import ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.routes import TcpRoute
from chalicelib.entrypoints.api.views import progress_view
from chalicelib.usecases.ingest_activity import LogLine
from chalicelib.usecases.proxy_config import ProxyReport, RuleHealth
from chalicelib.usecases.warm_up import WakeCause
from tests.e2e.played_plane import ControlPlane
from tests.e2e.tools import KEY
from tests.unit.world import World as UseCases

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.guests import Guest
    from tests.e2e.tools import Loop

RULE = "ru_1"
TURN = 0.2


class LivedPlane(ControlPlane):
    """One TCP rule. What AWS is believed to run, runs: `follow` starts and stops its guest as the instance does.

    Everything in `cases` belongs to `lock`: agents call from the loop, the test from its own thread.
    """

    id = "lb_1"

    def __init__(self, loop: Loop, idle: timedelta, target: int, listen: int, address: str) -> None:
        super().__init__(loop)
        self.lock = threading.RLock()
        self.cases = UseCases(idle=idle, http=(), tcp=(TcpRoute("tcp", target, listen),))
        compact = {"id": RULE, "targets": [address], "tcp": [{"listen": listen, "target": target}]}
        self.cases.stores.proxies.put_rule(self.id, RULE, json.dumps(compact))
        self.cases.instance.boot = self.cases.instance.halt = timedelta(seconds=0.5)
        self.diverted_at_stop: list[set[str]] = []
        """For each stop, the members that had told of the drain when AWS was asked for it."""
        stop = self.cases.cloud.stop

        def stop_noted(refs: Any, **how: bool) -> Any:
            drain = self.cases.rule.status.drain
            told = {
                source.name
                for source in self.cases.stores.proxies.sources(self.id)
                if drain and source.config_at and source.span and source.span.end >= source.config_at >= drain.since
            }
            self.diverted_at_stop.append(told)
            return stop(refs, **how)

        self.cases.cloud.stop = stop_noted  # type: ignore[method-assign]
        self._ended = threading.Event()
        self._guest: Guest | None = None
        self._serving = False
        self._tick_at = datetime.now(UTC)

    @property
    def etag(self) -> str:
        state = self.cases.stores.proxies.poll(self.id)
        return f"r{state.rules_version}.s{state.states_version}"

    def join(self, member: str) -> None:
        self.cases.cloud.add(member, state=ResourceState.RUNNING)

    def terminate(self, member: str) -> None:
        with self.lock:
            self.cases.cloud.terminate(ResourceRef(ResourceKind.EC2, "us-east-1", member))

    def follow(self, guest: Guest) -> None:
        """Ticks and works until `end_life`."""
        self._guest = guest
        threading.Thread(target=self._live, daemon=True).start()

    def end_life(self) -> None:
        self._ended.set()

    def read(self, what: Callable[[UseCases], Any]) -> Any:
        with self.lock:
            self._now()
            return what(self.cases)

    def _live(self) -> None:
        while not self._ended.wait(TURN):
            with self.lock:
                now = self._now()
                if now >= self._tick_at:
                    self.cases.tick.run()
                    self._tick_at = now + timedelta(seconds=1)
                self.cases.work()
                runs = self.cases.instance.state is ResourceState.RUNNING
            if self._guest is not None and runs is not self._serving:
                self._guest.start() if runs else self._guest.stop()
                self._serving = runs

    def _now(self) -> datetime:
        now = datetime.now(UTC)
        self.cases.clock.advance(max(now - self.cases.clock.now(), timedelta(0)))
        return now

    async def _config(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        known = request.headers.get("If-None-Match")
        answer = self.read(lambda cases: cases.config.poll(self.id, request.query["member"], known))
        if answer is None:
            return web.Response(status=304)
        return web.Response(text=answer.body, content_type="application/json", headers={"ETag": answer.etag})

    async def _warm_up(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.wakes += [(id_, body["cause"]) for id_ in body["rule_ids"]]
        cause = WakeCause(body["cause"]["kind"], body["cause"].get("source"))
        woken = self.read(lambda cases: cases.warm_up.by_traffic(self.id, tuple(body["rule_ids"]), cause))
        return web.json_response({"rules": [progress_view(progress) for progress in woken]}, status=202)

    async def _report(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.reports.append(body)
        applied = datetime.fromisoformat(body["applied"]["at"]) if "applied" in body else None
        rules = [RuleHealth(r["id"], r["accepts"], datetime.fromisoformat(r["at"])) for r in body["rules"]]
        report = ProxyReport(body["member"], body["config"], applied, (), tuple(rules))
        self.read(lambda cases: cases.config.report(self.id, report))
        return web.Response(status=204)

    async def _put(self, request: web.Request) -> web.Response:
        if request.headers["X-Amz-Target"].endswith(".PutLogEvents"):
            body = json.loads(await request.read())
            stream, at = body["logStreamName"], datetime.now(UTC)
            events = [event["message"] for event in body["logEvents"]]
            self.lines += [json.loads(text) for text in events]
            lines = [LogLine(f"{stream}-{at.isoformat()}-{n}", stream, at, text) for n, text in enumerate(events)]
            self.read(lambda cases: cases.ingest.run(lines))
        return web.Response(text="{}", content_type="application/x-amz-json-1.1")
