"""Does a target accept? A TCP connection, or the rule's health check."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from chalicelib.envoy.compact import CompactRule, Probe


async def probe(rule: CompactRule, session: aiohttp.ClientSession) -> tuple[bool, int | None]:
    """Whether any target accepts, and the HTTP status it answered with."""
    check = rule.probe
    results = await asyncio.gather(*(_one(address, check, session) for address in rule.targets))
    good = [status for accepts, status in results if accepts]
    if good:
        return True, good[0]
    return False, next((status for _, status in results if status is not None), None)


async def _one(address: str, check: Probe, session: aiohttp.ClientSession) -> tuple[bool, int | None]:
    try:
        if check.protocol == "tcp":
            async with asyncio.timeout(check.timeout):
                _, writer = await asyncio.open_connection(address, check.port)
            writer.close()
            return True, None
        url = f"{check.protocol}://{address}:{check.port}{check.path}"
        timeout = aiohttp.ClientTimeout(total=check.timeout)
        async with session.get(url, timeout=timeout, allow_redirects=False, ssl=False) as answer:
            return check.status[0] <= answer.status <= check.status[1], answer.status
    except (OSError, TimeoutError, aiohttp.ClientError):
        return False, None
