"""The warm-up upstream: what Envoy asks when no target answers. On a unix socket."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiohttp import web

from chalicelib.agent.page import html, problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chalicelib.agent.beliefs import Beliefs


class WarmUpServer:
    """Answers with the page or a problem, and tells `wake` that somebody is there."""

    def __init__(self, beliefs: Beliefs, wake: Callable[[str, dict[str, object]], None]) -> None:
        self._beliefs = beliefs
        self._wake = wake

    async def start(self, socket: Path) -> web.AppRunner:
        """Serve until the runner is cleaned up."""
        await asyncio.to_thread(socket.unlink, missing_ok=True)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(socket)).start()
        return runner

    async def _answer(self, request: web.Request) -> web.Response:
        host = request.host.rsplit(":", 1)[0].lower()
        rule = self._beliefs.find(host, request.path)
        phase, detail, seconds, starting = "Nothing is here", "", None, False
        if rule is not None:
            belief = self._beliefs.of[rule.id]
            state = self._beliefs.config.states.get(rule.id)
            starting = self._beliefs.startable(rule.id)
            if starting:
                source = request.headers.get("x-forwarded-for", "").split(",")[0].strip() or None
                self._wake(rule.id, {"kind": "http", "source": source, "host": host, "path": request.path[:255]})
                phase = str(belief.progress.get("phase") or "Asked to start").capitalize()
                detail = str(belief.progress.get("detail") or "")
                seconds = int(time.monotonic() - (belief.first_woken or time.monotonic()))
            else:
                phase = "It may not be started by a request now"
                until = f" Until {state.until:%Y-%m-%d %H:%M} UTC." if state and state.until else ""
                detail = f"{state.detail if state and state.detail else ''}{until}"
        headers = {"Retry-After": "2" if starting else "60", "Cache-Control": "no-store"}
        if request.method in {"GET", "HEAD"} and "text/html" in request.headers.get("accept", ""):
            body = html(host, phase, seconds, detail, starting=starting)
            return web.Response(status=503, text=body, content_type="text/html", headers=headers)
        body = problem(host, phase, detail)
        return web.Response(status=503, text=body, content_type="application/problem+json", headers=headers)
