"""Whether what was deployed answers: asked over HTTP, as anybody would."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from chalicelib import __version__
from scripts.deployment.errors import UnhealthyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.deployment.steps import Say

PATIENCE_SECONDS = 45.0
"""A REST API that was just made answers some seconds later; a function that was just made starts slowly once."""


def api_url(api_id: str, region: str) -> str:
    """Where the REST API is, with no slash at the end; of an emulator at AWS_ENDPOINT_URL, as it has them."""
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        return f"{endpoint.rstrip('/')}/restapis/{api_id}/api/_user_request_"
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{api_id}.execute-api.{region}.{suffix}/api"


@dataclass(slots=True)
class Smoke:
    """The checks of one API."""

    url: str
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def check(self, say: Say, token: str | None = None) -> None:
        """Raises UnhealthyError with every check that failed. `token`: an admin key, if one is known."""
        failed = []
        for words, fault in self._checks(token):
            say(f"  {'ok ' if fault is None else 'NOT'} {words}{'' if fault is None else ': ' + fault}")
            failed += [] if fault is None else [f"{words}: {fault}"]
        if failed:
            raise UnhealthyError("Deployed, but not as it should be: " + "; ".join(failed))

    def _checks(self, token: str | None) -> Iterator[tuple[str, str | None]]:
        yield f"GET {self.url}/health answers as version {__version__}", self._patiently(self._health)
        yield "GET /rules asks for a key", self._patiently(lambda: self._status("/rules", None, 401))
        if token is not None:
            yield "GET /rules answers to the admin key", self._patiently(lambda: self._status("/rules", token, 200))

    def _patiently(self, look: Callable[[], str | None]) -> str | None:
        deadline = self.clock() + PATIENCE_SECONDS
        while (fault := look()) is not None and self.clock() < deadline:
            self.sleep(1.0)
        return fault

    def _health(self) -> str | None:
        answer = self._get("/health", None)
        if isinstance(answer, str):
            return answer
        found: Any = answer.json() if answer.status_code == httpx.codes.OK else None
        if not isinstance(found, dict):
            return f"{answer.status_code} {answer.text[:200]}"
        return None if found.get("version") == __version__ else f"it answers as version {found.get('version')}"

    def _status(self, path: str, token: str | None, wanted: int) -> str | None:
        answer = self._get(path, token)
        if isinstance(answer, str):
            return answer
        return None if answer.status_code == wanted else f"{answer.status_code} {answer.text[:200]}"

    def _get(self, path: str, token: str | None) -> httpx.Response | str:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            return httpx.get(self.url + path, headers=headers, timeout=30)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
