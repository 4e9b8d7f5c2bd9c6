"""What a balancer in front of us, an NLB's target group, asks: whether this member may be sent traffic.

Everyone who reaches the port may ask, so it tells nothing of rules, and nobody can hold it: a client has three
seconds, a request four kilobytes, and when too many are connected the oldest is closed for the newest.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from chalicelib.agent.envoy_admin import EnvoySilentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.agent.clock import Clock
    from chalicelib.agent.envoy_admin import EnvoyAdmin

log = logging.getLogger(__name__)

PATH = "/healthz"
PATIENCE = 3.0
LONGEST_REQUEST = 4096
MOST_CLIENTS = 64
REMEMBERED = 1.0
"""Envoy is asked at most once in so many seconds, however many ask us."""


class Health:
    """Whether Envoy is live and has a configuration. `serving` tells the latter (Verifier.serving)."""

    def __init__(self, admin: EnvoyAdmin, serving: Callable[[], bool], clock: Clock) -> None:
        self._admin = admin
        self._serving = serving
        self._clock = clock
        self._asking = asyncio.Lock()
        self._trouble: str | None = None
        self._asked_at: float | None = None

    async def trouble(self) -> str | None:
        """Why no traffic should come here, in words; None where it may."""
        async with self._asking:
            now = self._clock.monotonic()
            if self._asked_at is None or now - self._asked_at >= REMEMBERED:
                self._trouble = await self._look()
                self._asked_at = now
            return self._trouble

    async def _look(self) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE / 2):
                live = await self._admin.is_live()
        except (EnvoySilentError, TimeoutError):
            return "Envoy does not answer"
        if not live:
            return "Envoy is starting or is being shut down"
        return None if self._serving() else "Envoy has no configuration yet"


class HealthServer:
    """HTTP/1.1, one request a connection: `GET /healthz` is 200, or 503 with the reason. `open` it in a loop."""

    def __init__(self, health: Health, address: str, port: int | None, patience: float = PATIENCE) -> None:
        self._health = health
        self._patience = patience
        self._address = address
        self._port = port
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Listen, if we are to and do not. A port that is taken is tried again: traffic does not depend on it."""
        if self._port is None or self._server is not None:
            return
        try:
            self._server = await asyncio.start_server(
                self._met, self._address, self._port, limit=LONGEST_REQUEST, backlog=MOST_CLIENTS
            )
        except OSError as error:
            log.error("nobody can ask for our health, it is tried again: %s", error)  # noqa: TRY400

    async def close(self) -> None:
        """Stop listening, and let go of everyone."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._clients.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MOST_CLIENTS:
            oldest = next(iter(self._clients))
            oldest.transport.abort()
            self._clients.pop(oldest).cancel()
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._clients[writer] = task
        task.add_done_callback(lambda _: self._clients.pop(writer, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._patience):
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except asyncio.LimitOverrunError:
                    writer.write(_answer(431, "the request is too long"))
                else:
                    writer.write(await self._answer(head))
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            # It is gone, or too slow: that is its own affair.
            log.debug("a health check was not answered: %r", error)
        finally:
            writer.transport.abort()

    async def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        target, _, version = rest.partition(b" ")
        if not version.startswith(b"HTTP/1."):
            return _answer(400, "this is not HTTP/1.1")
        if target.partition(b"?")[0] != PATH.encode():
            return _answer(404, f"only {PATH} is here", body=method != b"HEAD")
        if method not in {b"GET", b"HEAD"}:
            return _answer(405, "only GET and HEAD", "Allow: GET, HEAD\r\n")
        trouble = await self._health.trouble()
        return _answer(503 if trouble else 200, trouble or "ok", body=method == b"GET")


_WORDS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


def _answer(status: int, text: str, headers: str = "", *, body: bool = True) -> bytes:
    content = f"{text}\n"
    return (
        f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(content)}\r\nCache-Control: no-store\r\nConnection: close\r\n{headers}\r\n"
        f"{content if body else ''}"
    ).encode()
