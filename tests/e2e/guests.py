"""Servers of instances, started and stopped by the test."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.e2e.tools import Loop


class Guest:
    """A server of one instance, up and down as the test says. `talk` serves one connection."""

    def __init__(self, loop: Loop, address: str, port: int, talk: Any, tls: Any = None) -> None:
        self._loop, self.address, self.port, self._talk = loop, address, port, talk
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0

    def start(self) -> float:
        serving = asyncio.start_server(self._serve, self.address, self.port, limit=1 << 23, ssl=self._tls)
        self._server = self._loop.run(serving)
        return time.monotonic()

    def stop(self) -> None:
        self._loop.run(self._stop())

    def refuse(self) -> None:
        """Whoever is connected stays; nobody else is let in."""
        self._loop.run(self._refuse())

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            await self._talk(reader, writer)
        self._writers.discard(writer)
        writer.close()


async def web_site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """GET answers the path and X-Forwarded-For; POST the body's length and SHA-256; /error a page of its own."""
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *rest = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if "chunked" in headers.get("transfer-encoding", ""):
            while (size := int(await reader.readline(), 16)) > 0:
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        status = "500 Own Error" if "/error" in first else "200 OK"
        said = {
            "first": first,
            "from": headers.get("x-forwarded-for"),
            "sha256": hashlib.sha256(body).hexdigest(),
            "bytes": len(body),
        }
        answer = json.dumps(said).encode()
        writer.write(f"HTTP/1.1 {status}\r\nserver: guest\r\ncontent-length: {len(answer)}\r\n\r\n".encode() + answer)
        await writer.drain()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A protocol whose server speaks first."""
    writer.write(b"220 hello\r\n")
    await echo(reader, writer)


class BlackHole:
    """A port whose packets vanish: a queue of connections that is full, so that the kernel drops whoever comes.

    There is no RST and no answer, as with the address of an instance that is stopped (listen(2): the backlog).
    """

    def __init__(self, address: str, port: int) -> None:
        self._full = socket.socket()
        self._full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._full.bind((address, port))
        self._full.listen(0)
        self._inside = socket.create_connection((address, port))
        with contextlib.suppress(TimeoutError), socket.socket() as outside:
            outside.settimeout(0.2)
            outside.connect((address, port))
            raise AssertionError("the queue is not full")

    def close(self) -> None:
        """From now on nothing is there: whoever tries is refused."""
        self._inside.close()
        self._full.close()
