"""The page of what is not up: one for the agent on a proxy's VM and for the warm-up function of an ALB.

It lies here because the agent travels with `envoy/` alone. It asks nobody but its own host for anything, the logo of a
load balancer's theme aside. With JavaScript it asks for itself again and takes over what is new, so that a screen
reader hears what changed and nothing else; without, the browser loads it again.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from html import escape
from string import Template
from urllib.parse import urlsplit

POLL_HEADER = "autostop-poll"
"""Of the page's own requests, so that they are told from other programs'."""

PAGE_HEADER = "autostop-page"
"""Of its answers: by it the page knows that it is still itself that it got."""

COLOUR = "#1f6feb"
_COLOUR = re.compile(r"#[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?")
_ORIGIN = re.compile(r"https://[A-Za-z0-9.-]{1,253}(?::\d{1,5})?")
_NONCHARACTERS = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_UNWRITABLE = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]")
"""https://html.spec.whatwg.org/multipage/parsing.html#preprocessing-the-input-stream"""

ALMOST = 0.95
"""As far as the bar goes for what takes longer than usual."""


@dataclass(frozen=True, slots=True)
class Brand:
    """Whose page it is. `colour` is CSS hex, `logo_url` https; what is neither is left out."""

    title: str = ""
    logo_url: str = ""
    colour: str = COLOUR
    text: str = ""


@dataclass(frozen=True, slots=True)
class PageView:
    """What the page says. `busy`: there is something to wait for, and a bar says so.

    `seconds` since the start began and `expected` of it, None where unknown. `needs`: names of what has to be up first,
    each with how far it is. `refresh`: seconds between two looks, None for a page that stays as it is.
    """

    title: str
    phase: str
    details: tuple[str, ...] = ()
    failure: str = ""
    busy: bool = False
    seconds: float | None = None
    expected: float | None = None
    needs: tuple[tuple[str, str], ...] = ()
    refresh: int | None = None
    brand: Brand = Brand()


_STYLE = Template("""
:root{color-scheme:light dark;--accent:$colour;--text:#1c2128;--soft:#57606a;--ground:#fff;--line:#d0d7de;--bad:#a40e26}
@media (prefers-color-scheme:dark){
:root{--text:#e6edf3;--soft:#9da7b3;--ground:#0d1117;--line:#3d444d;--bad:#ff9492}
@supports (color:color-mix(in srgb,red,white)){:root{--accent:color-mix(in srgb,$colour 55%,white)}}
}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:1.0625rem/1.5 system-ui,-apple-system,sans-serif}
header,main,footer{max-width:38rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:min(14vh,7rem);display:flex;gap:.75rem;align-items:center;min-height:2rem}
header img{max-height:3rem;max-width:12rem}
header p{font-weight:600;margin:0;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:1.25rem 0 .5rem;overflow-wrap:anywhere}
h1::after{content:"";display:block;width:3.5rem;height:4px;margin-top:.75rem;border-radius:2px;background:var(--accent)}
h2{font-size:1.0625rem;margin:1.5rem 0 .25rem}
p,li{overflow-wrap:anywhere}
progress{appearance:none;width:100%;height:.75rem;border:0;border-radius:.375rem;background:var(--line);overflow:hidden}
progress::-webkit-progress-bar{background:var(--line)}
progress::-webkit-progress-value{background:var(--accent)}
progress::-moz-progress-bar{background:var(--accent)}
progress:not([value])::-moz-progress-bar{background:transparent}
progress:not([value]){background:linear-gradient(90deg,var(--line) 30%,var(--accent) 50%,var(--line) 70%) 0 0/200% 100%}
progress:not([value])::-webkit-progress-bar{background:transparent}
@media (prefers-reduced-motion:no-preference){progress:not([value]){animation:on 2s linear infinite}}
@keyframes on{from{background-position:150% 0}to{background-position:-50% 0}}
ul{margin:0;padding:0;list-style:none}
li{display:flex;justify-content:space-between;gap:1rem;padding:.25rem 0;border-bottom:1px solid var(--line)}
li span+span{flex:none;max-width:50%;color:var(--soft)}
.soft,footer{color:var(--soft);font-size:.9375rem}
.failure{border-left:4px solid var(--bad);padding:.1rem 0 .1rem 1rem;margin:1.25rem 0}
.failure h2{color:var(--bad);margin-top:.25rem}
footer{padding-top:1.5rem;padding-bottom:2rem}
""")

# It takes over each part that changed; the status only where its words did, so that nothing is read out twice. What a
# balancer answers while it turns to the targets, a few times at most, is no reason to leave.
SCRIPT = """
(function () {
  var body = document.body, wait = Number(body.dataset.refresh) * 1000, odd = 0;
  if (!wait || !window.fetch || !window.DOMParser) return;
  function take(text) {
    var fresh = new DOMParser().parseFromString(text, "text/html");
    document.title = fresh.title;
    ["headline", "phase", "bar", "time", "more"].forEach(function (id) {
      var old = document.getElementById(id), now = fresh.getElementById(id);
      if (old && now && old.innerHTML !== now.innerHTML) old.innerHTML = now.innerHTML;
    });
    wait = Number(fresh.body.dataset.refresh) * 1000;
  }
  function again() { if (wait) setTimeout(look, wait); }
  function look() {
    fetch(location.href, {headers: {"accept": "text/html", "autostop-poll": "1"}, cache: "no-store",
                          redirect: "manual"}).then(function (answer) {
      if (!answer.headers.get("autostop-page")) {
        if (answer.status >= 502 && answer.status <= 504 && ++odd < 5) return;
        wait = 0;
        location.reload();
        return;
      }
      odd = 0;
      return answer.text().then(take);
    }).catch(function () {}).then(again);
  }
  again();
})();
"""

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>$title</title>
$reload<style>$style</style>
</head>
<body data-refresh="$refresh">
$header<main>
<h1 id="headline">$title</h1>
<div role="status" id="phase"><p>$phase</p></div>
<div id="bar">$bar</div>
<div id="time">$time</div>
<div id="more">$more</div>
</main>
<footer>$footer</footer>
<script>$script</script>
</body>
</html>
""")


def render(view: PageView) -> str:
    """The page as HTML; every text is escaped."""
    brand = view.brand
    header = _logo(brand) + (f"<p>{_text(brand.title)}</p>" if brand.title else "")
    refresh = view.refresh or 0
    return _PAGE.substitute(
        title=_text(view.title),
        reload=f'<noscript><meta http-equiv="refresh" content="{refresh}"></noscript>\n' if refresh else "",
        style=_style(brand.colour),
        refresh=refresh,
        header=f"<header>{header}</header>\n" if header else "",
        phase=_text(view.phase),
        bar=_bar(view) if view.busy else "",
        time=_time(view) if view.busy else "",
        more=_more(view),
        footer=_footer(brand, refresh),
        script=SCRIPT,
    )


def security_headers(brand: Brand = Brand()) -> dict[str, str]:
    """What keeps anything that slipped into the page from doing anything."""
    origin = _origin(brand.logo_url)
    policy = (
        f"default-src 'none'; style-src {_style_hash(brand.colour)}; script-src {_script_hash()}; connect-src 'self'; "
        f"img-src {origin or chr(39) + 'none' + chr(39)}; base-uri 'none'; form-action 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex",
    }


def _bar(view: PageView) -> str:
    label = 'aria-label="Progress of the start"'
    if view.seconds is None or not view.expected or view.expected <= 0:
        return f"<progress {label}></progress>"
    share = min(max(view.seconds, 0.0) / view.expected, ALMOST)
    return f'<progress {label} max="100" value="{share * 100:.0f}">{share * 100:.0f} %</progress>'


def _time(view: PageView) -> str:
    if view.seconds is None:
        return ""
    words = f"{_duration(view.seconds)} so far"
    if view.expected:
        words += f", usually {_duration(view.expected)}"
        if view.seconds > view.expected:
            words += ": it takes longer than usual"
    return f'<p class="soft">{words}.</p>'


def _more(view: PageView) -> str:
    parts = []
    if view.failure:
        parts.append(f'<div class="failure"><h2>What went wrong</h2><p>{_text(view.failure)}</p></div>')
    parts += [f"<p>{_text(text)}</p>" for text in view.details if text]
    if view.needs:
        items = "".join(f"<li><span>{_text(name)}</span><span>{_text(how)}</span></li>" for name, how in view.needs)
        parts.append(f"<h2>What it needs first</h2><ul>{items}</ul>")
    return "".join(parts)


def _footer(brand: Brand, refresh: int) -> str:
    parts = [f"<p>{_text(brand.text)}</p>"] if brand.text else []
    if refresh:
        parts.append("<p>This page looks again by itself; there is nothing to do but wait.</p>")
    return "".join(parts)


def _logo(brand: Brand) -> str:
    if _origin(brand.logo_url) is None:
        return ""
    return f'<img src="{_text(brand.logo_url)}" alt="">'


def _text(text: str) -> str:
    """Escaped, without what HTML has no way to write."""
    return escape(_UNWRITABLE.sub(" ", text))


def _duration(seconds: float) -> str:
    whole = math.floor(max(seconds, 0))
    if whole < 120:  # noqa: PLR2004
        return f"{whole} second{'' if whole == 1 else 's'}"
    return f"{whole // 60} minutes" + (f" {whole % 60} seconds" if whole % 60 else "")


@lru_cache(maxsize=64)
def _style(colour: str) -> str:
    return _STYLE.substitute(colour=colour if _COLOUR.fullmatch(colour) else COLOUR)


@lru_cache(maxsize=64)
def _style_hash(colour: str) -> str:
    return _hash(_style(colour))


@cache
def _script_hash() -> str:
    return _hash(SCRIPT)


def _hash(text: str) -> str:
    """As a policy names it (https://www.w3.org/TR/CSP3/#grammardef-hash-source)."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def _origin(url: str) -> str | None:
    """Of an https URL; None for anything that is none, or that a header could not have."""
    try:
        parts = urlsplit(url)
        origin = f"https://{parts.netloc}"
    except ValueError:
        return None
    good = parts.scheme == "https" and _ORIGIN.fullmatch(origin) and re.fullmatch(r"[\x21-\x7e]+", url)
    return origin if good else None
