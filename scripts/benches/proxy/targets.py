"""What stands behind the proxy, and what its clients say."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

BACKLOG = 4096


async def listen(kept: socket.socket, talk: Talk) -> tuple[float, asyncio.Server]:
    """Accept from now on; answers since when."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await talk(reader, writer)
        writer.close()

    began = time.monotonic()
    return began, await asyncio.start_server(serve, sock=kept, backlog=BACKLOG)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say what was said."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP: answer each request with the SHA-256 of its body."""
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        _, _, length = head.partition("content-length: ")
        body = await reader.readexactly(int(length.split("\r\n")[0])) if length else b""
        said = hashlib.sha256(body).hexdigest().encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 64\r\n\r\n" + said)
        await writer.drain()


def request(host: str, body: bytes | None = None) -> bytes:
    """A GET, or a POST with a body, of who is no browser."""
    method = "GET" if body is None else "POST"
    head = f"{method} / HTTP/1.1\r\nHost: {host}\r\n"
    if body is not None:
        head += f"Content-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + (body or b"")


def web(host: str, port: int, target: int) -> dict[str, object]:
    """An HTTP route of a compact rule."""
    return {"hosts": [host], "paths": ["/*"], "port": port, "target": target}


def quantile(values: list[float], share: float) -> float:
    """The smallest value that this share of all does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]
