"""From when the agent has a changed configuration to when a client sees it, on a proxy with many rules.

A change is a new rule with a host and a port, or one whose targets move to other ports. Told is the longest of all.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from scripts.benches.proxy.stage import stage
from scripts.benches.proxy.targets import listen, request, web
from scripts.benches.report import report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scripts.benches.proxy.stage import Stage

ROUNDS = 5
LOOK = 0.005
SEEN_WITHIN = 30.0


async def run(rules: int, rounds: int = ROUNDS) -> None:
    """All targets of the many refuse: the agent probes them meanwhile, as it does at night."""
    async with stage() as made:
        browse, refusing = made.free_port(), made.reserve()
        many = [_rule(made, n, browse, made.free_port(), refusing.getsockname()[1]) for n in range(rules)]
        await made.in_force(*many)
        took: list[float] = []
        for n in range(rules, rules + rounds):
            took += await _round(made, n, browse)
        refusing.close()
    report("proxy", "config_change_s", max(took), "s")


async def _round(made: Stage, n: int, browse: int) -> list[float]:
    """Add a rule, then move its targets. The old ones go on answering: a client that is held would see nothing."""
    took: list[float] = []
    servers = []
    shell = made.free_port()
    for name in ("new", "moved"):
        kept = made.reserve()
        servers.append((await listen(kept, _named(name)))[1])
        etag = made.plane.publish(_rule(made, n, browse, shell, kept.getsockname()[1]))
        await made.until(partial(made.plane.handed.__contains__, etag), "the agent has it")
        looks = (_look_http(made, f"h{n}.test", browse, name), _look_tcp(made, shell, name))
        seen = await asyncio.gather(*map(_seen, looks))
        took += [at - made.plane.handed[etag] for at in seen]
        await made.until(partial(made.plane.applied.__contains__, etag), "applied")
    for server in servers:
        server.close()
    return took


def _rule(made: Stage, n: int, browse: int, shell: int, target: int) -> dict[str, Any]:
    return {
        "id": f"ru_{n:06d}",
        "targets": [made.target],
        "http": [web(f"h{n}.test", browse, target)],
        "tcp": [{"listen": shell, "target": target}],
    }


def _named(name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A target that tells its name, to whoever speaks, as HTTP."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode())
            await writer.drain()

    return talk


async def _seen(look: Callable[[], Awaitable[bool]]) -> float:
    deadline = time.monotonic() + SEEN_WITHIN
    while time.monotonic() < deadline:
        if await look():
            return time.monotonic()
        await asyncio.sleep(LOOK)
    raise RuntimeError(f"a change was not seen within {SEEN_WITHIN} s")


def _look_http(made: Stage, host: str, port: int, name: str) -> Callable[[], Awaitable[bool]]:
    return lambda: _says(made, port, request(host), name)


def _look_tcp(made: Stage, port: int, name: str) -> Callable[[], Awaitable[bool]]:
    return lambda: _says(made, port, b"hello", name)


async def _says(made: Stage, port: int, said: bytes, name: str) -> bool:
    """Whether a new client reaches the target of that name. A new client each time: old ones stay where they are."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(made.address, port)
            try:
                writer.write(said)
                return (await reader.read(65536)).endswith(name.encode())
            finally:
                writer.close()
    return False
