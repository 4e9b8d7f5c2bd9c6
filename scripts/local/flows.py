"""Flow logs of guests: what passed is counted on its way and written as AWS writes it, version 2, window by window.

https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scripts.local.cloud import Cloud

CHUNK = 1 << 16
OWNER = "000000000000"


@dataclass(slots=True)
class Flow:
    """One direction of one connection in one window: packets (as they were read), bytes, first and last second."""

    packets: int = 0
    octets: int = 0
    first: int = 0
    last: int = 0


@dataclass(slots=True)
class FlowLog:
    """Of one interface. `address` is the one that EC2 gives it, whatever its guest listens on here."""

    interface: str
    address: str
    flows: dict[tuple[str, int, str, int], Flow] = field(default_factory=dict)

    def passed(self, source: tuple[str, int], target: tuple[str, int], octets: int) -> None:
        """Something went from one to the other."""
        now = int(time.time())
        flow = self.flows.setdefault((*source, *target), Flow(first=now))
        flow.packets += 1
        flow.octets += octets
        flow.last = now

    def take(self, start: int, end: int) -> list[str]:
        """The records of the window that is over."""
        flows, self.flows = self.flows, {}
        head = f"2 {OWNER} {self.interface}"
        if not flows:
            return [f"{head} - - - - - - - {start} {end} - NODATA"]
        return [
            f"{head} {source} {target} {source_port} {target_port} 6 {flow.packets} {flow.octets} {flow.first} "
            f"{flow.last} ACCEPT OK"
            for (source, source_port, target, target_port), flow in flows.items()
        ]


class Tap:
    """Listens where a guest is reached, hands everything on to it, and counts."""

    def __init__(self, log: FlowLog, guest: tuple[str, int]) -> None:
        self._log, self._guest = log, guest
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, address: str, port: int) -> Callable[[], Awaitable[None]]:
        """Answers how to cut everything."""
        server = await asyncio.start_server(self._serve, address, port)

        async def cut() -> None:
            server.close()
            for task in list(self._open):
                task.cancel()
            await server.wait_closed()

        return cut

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        client = writer.get_extra_info("peername")[:2]
        here = (self._log.address, writer.get_extra_info("sockname")[1])
        try:
            inner_reader, inner_writer = await asyncio.open_connection(*self._guest)
            await asyncio.gather(
                self._hand_on(reader, inner_writer, client, here), self._hand_on(inner_reader, writer, here, client)
            )
        except OSError:
            return  # one of them has hung up
        finally:
            writer.close()

    async def _hand_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: tuple[str, int], to: tuple[str, int]
    ) -> None:
        while data := await reader.read(CHUNK):
            self._log.passed(source, to, len(data))
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()


async def write_for_ever(cloud: Cloud, group: str, log: FlowLog, window: float, runs: Callable[[], bool]) -> None:
    """A stream of the group as AWS names it, written to at the end of each window in which the instance ran."""
    logs: Any = cloud.client("logs")
    stream = f"{log.interface}-all"
    await asyncio.to_thread(logs.create_log_stream, logGroupName=group, logStreamName=stream)
    while True:
        start = int(time.time())
        await asyncio.sleep(window)
        if not runs():
            log.flows.clear()
            continue
        records = log.take(start, int(time.time()))
        events = [{"timestamp": start * 1000, "message": record} for record in records]
        await asyncio.to_thread(logs.put_log_events, logGroupName=group, logStreamName=stream, logEvents=events)
