"""The warm-up upstream: what Envoy asks when no target answers. On a unix socket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from chalicelib.agent.page import HEADERS, html, problem
from chalicelib.envoy.clusters import RULE_HEADER, SOURCE_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chalicelib.agent.beliefs import Beliefs
    from chalicelib.agent.clock import Clock


@dataclass(frozen=True, slots=True)
class _Said:
    phase: str
    detail: str = ""
    seconds: int | None = None
    starting: bool = False


class WarmUpServer:
    """Answers with the page or a problem, and tells `wake` that somebody is there.

    Which rule a request is for, and from which client, Envoy says in two headers that it overwrites.
    """

    def __init__(self, beliefs: Beliefs, wake: Callable[[str, dict[str, Any]], None], clock: Clock) -> None:
        self._beliefs = beliefs
        self._wake = wake
        self._clock = clock

    async def start(self, socket: Path) -> web.AppRunner:
        """Serve until the runner is cleaned up."""
        await asyncio.to_thread(socket.unlink, missing_ok=True)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(socket)).start()
        return runner

    async def _answer(self, request: web.Request) -> web.Response:
        host = request.host.rsplit(":", 1)[0].lower()
        said = self._say(request, host)
        headers = {"Retry-After": "2" if said.starting else "60", "Cache-Control": "no-store"}
        if request.method in {"GET", "HEAD"} and "text/html" in request.headers.get("accept", ""):
            body = html(host, said.phase, said.seconds, said.detail, starting=said.starting)
            return web.Response(status=503, text=body, content_type="text/html", headers=headers | HEADERS)
        body = problem(host, said.phase, said.detail)
        return web.Response(status=503, text=body, content_type="application/problem+json", headers=headers)

    def _say(self, request: web.Request, host: str) -> _Said:
        rule_id = request.headers.get(RULE_HEADER, "")
        source = request.headers.get(SOURCE_HEADER)
        belief = self._beliefs.of.get(rule_id)
        if belief is None:
            return _Said("Nothing is here")
        if not self._beliefs.startable(rule_id):
            return self._not_startable(rule_id)
        if self._beliefs.ignores(rule_id, source):
            return _Said("It is not started by requests from your address")
        self._wake(rule_id, {"kind": "http", "source": source, "host": host[:255], "path": request.path[:255]})
        phase = str(belief.progress.get("phase") or "Asking for it to start").capitalize()
        since = belief.first_woken
        seconds = int(self._clock.monotonic() - since) if since is not None else None
        return _Said(phase, str(belief.progress.get("detail") or ""), seconds, starting=True)

    def _not_startable(self, rule_id: str) -> _Said:
        state = self._beliefs.config.states[rule_id]
        until = f" Until {state.until:%Y-%m-%d %H:%M} UTC." if state.until else ""
        return _Said("It may not be started by a request now", f"{state.detail or ''}{until}")
