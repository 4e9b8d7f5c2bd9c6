"""The HTTP API as the commands use it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE = 500
"""Items that are asked for at once: the most that the API gives."""


class RefusedError(click.ClickException):
    """The API said no, or something between here and there did; the message has every fault that it named."""


@dataclass(frozen=True, slots=True)
class Api:
    """One API, with one key."""

    url: str
    key: str | None

    def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request. Raises RefusedError for any answer but 2xx."""
        sent = dict(headers or {})
        if self.key:
            sent["Authorization"] = f"Bearer {self.key}"
        if method == "POST":
            # An answer that was lost on the way is asked for again without a second rule being made.
            sent["Idempotency-Key"] = uuid.uuid4().hex
        try:
            answer = httpx.request(
                method, self.url.rstrip("/") + path, json=body, params=query, headers=sent, timeout=35
            )
        except httpx.HTTPError as error:
            raise RefusedError(f"{self.url} cannot be reached: {type(error).__name__}: {error}") from error
        if not answer.is_success:
            raise RefusedError(_words(answer))
        return answer

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401  (JSON)
        """What a GET answers."""
        return self.call("GET", path, query=query).json()

    def items(self, path: str, most: int | None, query: Mapping[str, str] | None = None) -> Iterator[Any]:
        """A list, page after page, until there are no more or enough of them."""
        cursor: str | None = None
        given = 0
        while most is None or given < most:
            limit = PAGE if most is None else min(PAGE, most - given)
            page = self.get(path, {**(query or {}), "limit": str(limit), **({"cursor": cursor} if cursor else {})})
            yield from page["items"]
            given += len(page["items"])
            cursor = page["next_cursor"]
            if cursor is None:
                return


def _words(answer: httpx.Response) -> str:
    """A problem (RFC 9457) in lines for people."""
    try:
        problem = answer.json()
    except ValueError:
        return f"{answer.status_code} {answer.reason_phrase}: {answer.text[:500]}"
    if not isinstance(problem, dict):
        return f"{answer.status_code} {answer.reason_phrase}: {answer.text[:500]}"
    faults = problem.get("errors") or ()
    if faults:
        lines = [f"  {fault.get('field') or 'the whole'}: {fault.get('message')}" for fault in faults]
        return "\n".join([f"{answer.status_code} {problem.get('title', '')}", *lines])
    said = problem.get("detail") or problem.get("message") or problem.get("Message") or answer.reason_phrase
    return f"{answer.status_code} {problem.get('title', '')}: {said}".replace(" : ", ": ")
