"""The control plane and CloudWatch Logs, played: they give out configurations and note when."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

BALANCER = "lb_bench"


class Plane:
    """`handed` tells when the agent was given a configuration, `applied` which Envoy has taken."""

    def __init__(self) -> None:
        self.rules: dict[str, dict[str, Any]] = {}
        self.version = 1
        self.handed: dict[str, float] = {}
        self.applied: set[str] = set()
        self.rejected: list[str] = []
        self.accepts: dict[str, bool] = {}
        self.woken: set[str] = set()
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def etag(self) -> str:
        """The name of the configuration that is given out now."""
        return f"r{self.version}.s1"

    def publish(self, *rules: dict[str, Any]) -> str:
        """Add or replace rules; answers the new name."""
        self.rules |= {rule["id"]: rule for rule in rules}
        self.version += 1
        return self.etag

    async def come(self) -> None:
        """Listen on a free port."""
        app = web.Application(client_max_size=1 << 26)
        base = f"/load-balancers/{BALANCER}"
        app.add_routes(
            [
                web.get(f"{base}/config", self._config),
                web.post(f"{base}/warm-up", self._warm_up),
                web.post(f"{base}/report", self._report),
                web.post("/", self._logs),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def go(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _config(self, request: web.Request) -> web.StreamResponse:
        etag = self.etag
        if request.headers.get("If-None-Match", "").strip('"') == etag:
            return web.Response(status=304)
        body = {
            "load_balancer_id": BALANCER,
            "rules": {"etag": f"r{self.version}", "items": list(self.rules.values())},
            "states": {"etag": "s1", "items": []},
            "resend_from": None,
        }
        answer = web.json_response(body, headers={"ETag": f'"{etag}"'})
        await answer.prepare(request)
        await answer.write_eof()
        self.handed.setdefault(etag, time.monotonic())
        return answer

    async def _warm_up(self, request: web.Request) -> web.Response:
        ids = (await request.json())["rule_ids"]
        self.woken.update(ids)
        answers = [{"id": id_, "state": "starting", "phase": "starting", "startable": True} for id_ in ids]
        return web.json_response({"rules": answers}, status=202)

    async def _report(self, request: web.Request) -> web.Response:
        told = await request.json()
        self.accepts |= {rule["id"]: rule["accepts"] for rule in told["rules"]}
        if "applied" in told:
            self.applied.add(told["config"])
        if "rejected" in told:
            self.rejected += told["rejected"]["errors"]
        return web.Response(status=204)

    async def _logs(self, request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="{}", content_type="application/x-amz-json-1.1")
