"""The control plane's three routes, as the agent calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import aiohttp

from chalicelib.agent.versions import HEADER, version_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.agent.keys import KeySource
    from chalicelib.agent.settings import Settings

_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=3)


class Unreachable(Exception):  # noqa: N818  (it reads as what it tells)
    """No answer, or one that is no use: the proxy goes on with what it has."""


class ControlPlane(Protocol):
    """The three routes. Every call raises Unreachable and nothing else."""

    @property
    def carries(self) -> str | None:
        """The version of the agent that it has for proxies, by its last answer to a poll; None while it said none."""
        ...

    async def poll(self, etag: str | None) -> tuple[str, dict[str, Any]] | None:
        """The new ETag and the answer; None when nothing changed. A part is null or has items."""
        ...

    async def warm_up(self, rule_ids: list[str], cause: dict[str, Any]) -> list[dict[str, Any]]:
        """Wake rules; answers how far each is."""
        ...

    async def report(self, report: dict[str, Any]) -> None:
        """Tell what we see."""
        ...


class HttpControlPlane:
    """ControlPlane over HTTPS."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession, key: KeySource) -> None:
        self._settings = settings
        self._key = key
        self._session = session
        self.carries: str | None = None
        self._base = f"{settings.api_url.rstrip('/')}/load-balancers/{settings.load_balancer_id}"

    async def poll(self, etag: str | None) -> tuple[str, dict[str, Any]] | None:
        sent = {"If-None-Match": etag} if etag else {}
        status, answer_headers, body = await self._call("GET", f"/config?member={self._settings.member}", None, sent)
        self.carries = version_of(answer_headers.get(HEADER))
        if status == 304:  # noqa: PLR2004
            return None
        parts = [body.get(part) for part in ("rules", "states")]
        # A proxy on the way may answer 200 with something else: no part of it may look like one that did not change.
        if not {"rules", "states"} <= body.keys() or not all(
            part is None or (isinstance(part, dict) and "items" in part) for part in parts
        ):
            raise Unreachable("GET /config: the answer is not what the protocol says")
        etag = answer_headers.get("ETag")
        if not etag:
            raise Unreachable("GET /config: the answer has no ETag")
        return etag, body

    async def warm_up(self, rule_ids: list[str], cause: dict[str, Any]) -> list[dict[str, Any]]:
        _, _, body = await self._call("POST", "/warm-up", {"rule_ids": rule_ids, "cause": cause})
        answers = body.get("rules")
        return [answer for answer in answers if isinstance(answer, dict)] if isinstance(answers, list) else []

    async def report(self, report: dict[str, Any]) -> None:
        await self._call("POST", "/report", report)

    async def _call(
        self, method: str, path: str, body: object, headers: dict[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        try:
            key = await self._key.get()
            sent = {"Authorization": f"Bearer {key}", **(headers or {})}
            async with self._session.request(
                method, self._base + path, json=body, headers=sent, timeout=_TIMEOUT, allow_redirects=False
            ) as answer:
                if answer.status == 401:  # noqa: PLR2004
                    self._key.refused(key)
                if answer.status >= 300 and answer.status != 304:  # noqa: PLR2004
                    detail = (await answer.text())[:300]
                    raise Unreachable(f"{method} {path}: {answer.status} {detail}")
                raw = await answer.read()
                data = await answer.json(content_type=None) if raw and answer.status not in {204, 304} else {}
                return answer.status, answer.headers, data if isinstance(data, dict) else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            raise Unreachable(f"{method} {path}: {type(error).__name__}: {error}") from error
