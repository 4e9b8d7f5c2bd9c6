"""From when a target accepts to when a client that was held hears of it, over HTTP and over TCP.

Until then the target refuses, as an instance does whose kernel is up and whose server is not. Each client is held
for three to four seconds, long enough for the back-off between attempts to be at its longest.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from scripts.benches.proxy.stage import stage
from scripts.benches.proxy.targets import digest, echo, listen, quantile, request, web
from scripts.benches.report import report

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from scripts.benches.proxy.stage import Stage

AT_ONCE = 20
HELD = 3.0


async def run(wakes: int, held: float = HELD) -> None:
    """Each wake is of a rule of its own, with a held request and a held connection."""
    async with stage() as made:
        http = made.free_port()
        kept = [(made.reserve(), made.reserve()) for _ in range(wakes)]
        ports = [made.free_port() for _ in range(wakes)]
        rules = [
            {
                "id": f"ru_{n:06d}",
                "targets": [made.target],
                "http": [web(f"h{n}.test", http, page.getsockname()[1])],
                "tcp": [{"listen": ports[n], "target": shell.getsockname()[1]}],
            }
            for n, (page, shell) in enumerate(kept)
        ]
        await made.in_force(*rules)
        took: list[tuple[float, float]] = []
        for start in range(0, wakes, AT_ONCE):
            batch = range(start, min(wakes, start + AT_ONCE))
            took += await asyncio.gather(*(_wake(made, n, http, ports[n], kept[n], held) for n in batch))
        if len(made.plane.woken) != wakes:
            raise AssertionError(f"{len(made.plane.woken)} of {wakes} rules were woken")
    for name, values in (("http", [one for one, _ in took]), ("tcp", [two for _, two in took])):
        report("proxy", f"wake_{name}_p50_s", quantile(values, 0.5), "s")
        report("proxy", f"wake_{name}_p99_s", quantile(values, 0.99), "s")


async def _wake(
    made: Stage, n: int, http: int, tcp: int, kept: Sequence[socket.socket], held: float
) -> tuple[float, float]:
    browsed, typed = [await asyncio.open_connection(made.address, port) for port in (http, tcp)]
    browsed[1].write(request(f"h{n}.test"))
    typed[1].write(b"hello")
    await asyncio.sleep(held + random.random())  # noqa: S311  (no secret)
    answers = [asyncio.create_task(_first(reader)) for reader, _ in (browsed, typed)]
    ups = [await listen(one, talk) for one, talk in zip(kept, (digest, echo), strict=True)]
    (said, page), (echoed, shell) = await asyncio.wait_for(asyncio.gather(*answers), 30)
    if not said.startswith(b"HTTP/1.1 200") or echoed != b"hello":
        raise AssertionError(f"the held clients of rule {n} got {said!r} and {echoed!r}")
    for _, writer in (browsed, typed):
        writer.close()
    for _, server in ups:
        server.close()
    return page - ups[0][0], shell - ups[1][0]


async def _first(reader: asyncio.StreamReader) -> tuple[bytes, float]:
    said = await reader.read(65536)
    return said, time.monotonic()
