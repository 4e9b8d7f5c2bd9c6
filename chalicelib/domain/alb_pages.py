"""The page that a listener of an ALB answers by itself: at most 1,024 characters of HTML.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_FixedResponseActionConfig.html
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.domain.albs import Theme

LONGEST = 1024


def not_found_page(theme: Theme) -> str:
    """What nobody's rule is for. No logo and no text of the theme: there is no room; a long title is cut."""
    title = theme.title or "AutoStop"
    while len(page := _page(escape(title), escape(theme.colour or "#1f6feb"))) > LONGEST:
        title = title[:-1]
    return page


def _page(title: str, colour: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Not found - {title}</title><style>:root{{color-scheme:light dark}}"
        "body{font:1rem/1.5 system-ui,sans-serif;margin:15vh auto;max-width:32rem;padding:0 1rem}"
        f"h1{{border-bottom:4px solid {colour}}}</style></head><body><main><h1>{title}</h1>"
        "<p>No rule is for this address.</p></main></body></html>"
    )
