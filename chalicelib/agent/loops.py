"""Jobs that are done again and again for as long as the agent runs."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

AFTER_FAILURE = 1.0


async def forever(
    job: Callable[[], Awaitable[None]], pause: Callable[[], float], early: asyncio.Event | None = None
) -> None:
    """Do a job, pause for that many seconds or until `early` is set, and so on.

    What the world does to a turn (disk, network, time) is logged and the next turn comes. Anything else is a defect:
    it ends the loop and with it the process, so that it is seen and systemd starts us anew.
    """
    while True:
        seconds = 0.0
        try:
            await job()
        except (OSError, TimeoutError, aiohttp.ClientError):
            log.exception("%s failed; it goes on", getattr(job, "__qualname__", job))
            seconds = AFTER_FAILURE
        seconds = max(seconds, pause())
        if early is None:
            await asyncio.sleep(seconds)
            continue
        # Not wait_for: in Python 3.11 it swallows a cancellation that comes with the event, and the loop never ends.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await early.wait()
        early.clear()
