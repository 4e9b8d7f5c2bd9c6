"""The progress page, and what clients that are no browsers get instead."""

from __future__ import annotations

import json
from html import escape

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="2"><meta name="color-scheme" content="light dark"><title>{title}</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:18vh auto 0;padding:0 1.5rem}}
h1{{font-size:1.5rem}}progress{{width:100%}}small{{opacity:.75}}</style></head>
<body><main role="status" aria-live="polite"><h1>{title}</h1>{bar}<p>{phase}</p><p><small>{detail}</small></p></main>
</body></html>
"""


def html(host: str, phase: str, seconds: int | None, detail: str, *, starting: bool) -> str:
    """The page; every text is escaped: host and path come from the request."""
    title = f"{host} is starting" if starting else f"{host} is not running"
    said = f"{phase}, {seconds} seconds so far" if starting and seconds is not None else phase
    bar = '<progress aria-label="starting"></progress>' if starting else ""
    return PAGE.format(title=escape(title), bar=bar, phase=escape(said), detail=escape(detail))


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
