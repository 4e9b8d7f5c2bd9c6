"""The control plane's three routes, as the agent calls them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.agent.settings import Settings

log = logging.getLogger(__name__)
_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=3)


class Unreachable(Exception):  # noqa: N818  (it reads as what it tells)
    """No answer, or one that is no use: the proxy goes on with what it has."""


class ControlPlane:
    """Every call raises Unreachable and nothing else."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session
        self._base = f"{settings.api_url.rstrip('/')}/load-balancers/{settings.load_balancer_id}"

    async def poll(self, etag: str | None) -> tuple[str, dict[str, Any]] | None:
        """The new ETag and the answer; None when nothing changed."""
        headers = {"If-None-Match": etag} if etag else {}
        status, answer_headers, body = await self._call("GET", f"/config?member={self._settings.member}", None, headers)
        if status == 304:  # noqa: PLR2004
            return None
        return answer_headers.get("ETag", ""), body

    async def warm_up(self, rule_ids: list[str], cause: dict[str, Any]) -> list[dict[str, Any]]:
        """Wake rules; answers how far each is."""
        _, _, body = await self._call("POST", "/warm-up", {"rule_ids": rule_ids, "cause": cause})
        return list(body.get("rules", []))

    async def report(self, report: dict[str, Any]) -> None:
        """Tell what we see."""
        await self._call("POST", "/report", report)

    async def _call(
        self, method: str, path: str, body: object, headers: dict[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        try:
            sent = {"Authorization": f"Bearer {self._settings.key}", **(headers or {})}
            async with self._session.request(
                method, self._base + path, json=body, headers=sent, timeout=_TIMEOUT
            ) as answer:
                if answer.status >= 400:  # noqa: PLR2004
                    detail = (await answer.text())[:300]
                    raise Unreachable(f"{method} {path}: {answer.status} {detail}")
                raw = await answer.read()
                data = await answer.json(content_type=None) if raw and answer.status not in {204, 304} else {}
                return answer.status, answer.headers, data if isinstance(data, dict) else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unreachable(f"{method} {path}: {type(error).__name__}: {error}") from error
