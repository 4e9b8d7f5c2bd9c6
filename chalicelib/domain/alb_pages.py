"""The page that a listener of an ALB answers by itself: at most 1,024 characters of HTML.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_FixedResponseActionConfig.html
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.domain.albs import Theme

LONGEST = 1024


def not_found_page(theme: Theme, record: str | None = None) -> str:
    """What nobody's rule is for. No logo and no text of the theme: there is no room; a long title is cut.

    `record` is the DNS record that somebody has to add by hand, told to whoever opens the load balancer's own address.
    """
    title = theme.title or "AutoStop"
    colour, dns = escape(theme.colour or "#1f6feb"), _dns(record)
    while len(page := _page(escape(title), colour, dns)) > LONGEST:
        title = title[:-1]
    return page


def _dns(record: str | None) -> str:
    return "" if record is None else f"<p>Its names need this DNS record:</p><pre>{escape(record)}</pre>"


def _page(title: str, colour: str, dns: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Not found - {title}</title><style>:root{{color-scheme:light dark}}"
        "body{font:1rem/1.5 system-ui,sans-serif;margin:15vh auto;max-width:32rem;padding:0 1rem}"
        "pre{white-space:pre-wrap}"
        f"h1{{border-bottom:4px solid {colour}}}</style></head><body><main><h1>{title}</h1>"
        f"<p>No rule is for this address.</p>{dns}</main></body></html>"
    )
