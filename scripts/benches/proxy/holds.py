"""How many clients are held at once, how many of them are lost when the target accepts, and what holding them takes.

A connection counts as held when it is answered with what it said while the target was down; a request when it is
answered with the digest of its body of up to 64 KB.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.benches.proxy.stage import stage
from scripts.benches.proxy.targets import digest, echo, listen, request, web
from scripts.benches.report import report

if TYPE_CHECKING:
    from scripts.benches.proxy.stage import Stage

HELD = 5.0
LARGEST_BODY = 65_536
COMING_AT_ONCE = 200
ANSWERED_WITHIN = 30.0


async def run(tcp: int, http: int, held: float = HELD) -> None:
    """All on one rule: a limit that is a cluster's or a listener's would show."""
    async with stage() as made:
        site, shell = made.reserve(), made.reserve()
        browse, listen_port = made.free_port(), made.free_port()
        rule = {
            "id": "ru_held",
            "targets": [made.target],
            "http": [web("held.test", browse, site.getsockname()[1])],
            "tcp": [{"listen": listen_port, "target": shell.getsockname()[1]}],
        }
        await made.in_force(rule)
        gate, up = asyncio.Semaphore(COMING_AT_ONCE), asyncio.Event()
        there = [asyncio.Event() for _ in range(tcp + http)]
        clients = [
            *(_connection(made, listen_port, n, gate, there[n], up) for n in range(tcp)),
            *(_request(made, browse, gate, there[tcp + n], up) for n in range(http)),
        ]
        tasks = [asyncio.create_task(client) for client in clients]
        await asyncio.gather(*(event.wait() for event in there))
        await asyncio.sleep(held)
        memory = _resident_mb(made.processes.running["envoy"].pid)
        servers = [(await listen(kept, talk))[1] for kept, talk in ((site, digest), (shell, echo))]
        up.set()
        kept_alive = await asyncio.gather(*tasks)
        for server in servers:
            server.close()
    report("proxy", "held_tcp", sum(kept_alive[:tcp]), "connections")
    report("proxy", "held_http", sum(kept_alive[tcp:]), "requests")
    report("proxy", "held_lost", len(kept_alive) - sum(kept_alive), "clients")
    report("proxy", "held_rss_mb", memory, "MB")


async def _connection(
    made: Stage, port: int, n: int, gate: asyncio.Semaphore, there: asyncio.Event, up: asyncio.Event
) -> bool:
    said = f"client {n:08d}".encode()
    return await _held(made, port, said, said, gate, there, up)


async def _request(made: Stage, port: int, gate: asyncio.Semaphore, there: asyncio.Event, up: asyncio.Event) -> bool:
    body = random.randbytes(random.randint(0, LARGEST_BODY))  # noqa: S311  (no secret)
    answer = hashlib.sha256(body).hexdigest().encode()
    return await _held(made, port, request("held.test", body), answer, gate, there, up)


async def _held(
    made: Stage,
    port: int,
    said: bytes,
    answer: bytes,
    gate: asyncio.Semaphore,
    there: asyncio.Event,
    up: asyncio.Event,
) -> bool:
    """Whether the answer came, and nothing before the target was up. Whoever fails early is there all the same."""
    try:
        async with gate:
            reader, writer = await asyncio.open_connection(made.address, port)
            writer.write(said)
            await writer.drain()
        there.set()
        got = b""
        early = asyncio.create_task(reader.read(65536))
        await up.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWERED_WITHIN):
                got = await early
                while got and answer not in got and (more := await reader.read(65536)):
                    got += more
        writer.close()
    except OSError:
        return False
    finally:
        there.set()
    return got.endswith(answer)


def _resident_mb(pid: int) -> float:
    """The most that a process has had in memory: proc(5), VmHWM."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6
