"""The control plane's install script, fetched with the proxy's own key; whole, or not at all."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from chalicelib.agent.keys import KeySource
    from chalicelib.agent.settings import Settings

SHA256 = "AutoStop-Script-SHA256"
"""The header that says what the script's bytes have to be."""

LARGEST = 6 * 1024 * 1024
"""Bytes: more than that no Lambda function answers."""

_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=5)


class NoScriptError(Exception):
    """It could not be had, or is not what the control plane made."""


async def fetch(settings: Settings, session: aiohttp.ClientSession, key: KeySource) -> bytes:
    """Raises NoScriptError with the reason."""
    url = f"{settings.api_url.rstrip('/')}/load-balancers/{settings.load_balancer_id}/install"
    try:
        sent = {"Authorization": f"Bearer {await key.get()}"}
        async with session.get(url, headers=sent, timeout=_TIMEOUT, allow_redirects=False) as answer:
            body = b""
            async for piece in answer.content.iter_chunked(65536):
                body += piece
                if len(body) > LARGEST:
                    raise NoScriptError("the answer is larger than any script can be")
            if answer.status != 200:  # noqa: PLR2004
                raise NoScriptError(f"the control plane answers {answer.status}: {body[:300].decode(errors='replace')}")
            told = answer.headers.get(SHA256, "")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NoScriptError(f"{type(error).__name__}: {error}") from error
    if not re.fullmatch(r"[0-9a-f]{64}", told):
        raise NoScriptError("the control plane does not say which SHA-256 its script has")
    if hashlib.sha256(body).hexdigest() != told:
        raise NoScriptError("the script was damaged on its way: its SHA-256 is not what the control plane says")
    return body
