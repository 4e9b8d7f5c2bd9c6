"""The progress page as the agent fills it in, and what clients that are no browsers get instead."""

from __future__ import annotations

import json

from chalicelib.envoy.progress_page import PAGE_HEADER, PageView, render, security_headers

REFRESH = 2
HEADERS = {PAGE_HEADER: "1", **security_headers()}


def html(host: str, phase: str, seconds: int | None, detail: str, *, starting: bool) -> str:
    """The page; every text is escaped: host and path come from the request."""
    title = f"{host} is starting" if starting else f"{host} is not running"
    # What may not start now may later: the browser finds out, and who looks at the page need not load it again.
    refresh = REFRESH if starting else 60
    return render(PageView(title, phase, (detail,), busy=starting, seconds=seconds, refresh=refresh))


def problem(host: str, phase: str, detail: str) -> str:
    """RFC 9457."""
    return json.dumps(
        {
            "type": "about:blank",
            "title": f"{host} is not running",
            "status": 503,
            "detail": f"{phase}. {detail}".strip(),
        }
    )
