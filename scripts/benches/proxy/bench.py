"""All of them, one after the other, the cheap ones first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from scripts.benches.proxy import agent_log, changes, holds, throughput, wakes


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything; the wakes of a claim are 200."""

    wakes: int = 20
    held_tcp: int = 2_000
    held_http: int = 500
    rules: int = 1_000


def run(sizes: Sizes = Sizes()) -> None:
    """Each has a proxy of its own."""
    agent_log.run()
    asyncio.run(wakes.run(sizes.wakes))
    asyncio.run(holds.run(sizes.held_tcp, sizes.held_http))
    asyncio.run(throughput.run())
    asyncio.run(changes.run(sizes.rules))
