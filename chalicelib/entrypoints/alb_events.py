"""What an ALB hands to its function, read: hostile until it is, and never raising.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote

_GROUP = re.compile(
    r"arn:[a-z0-9-]+:elasticloadbalancing:[a-z0-9-]+:\d{12}:targetgroup/as-(lb-[a-z0-9-]{1,29})/\S{1,64}"
)
_HOST = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
LONGEST_HOST = 253
LONGEST_PATH = 16_384
"""An ALB takes request lines of 16 KB.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html"""
LONGEST_URL = 8_000
MOST_LABELS = 127
_KEPT = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"<>\\^`{|}')


@dataclass(frozen=True, slots=True)
class AlbRequest:
    """A request. `multi`: the target group has multi-value headers on, and wants them in the answer.

    `host` is lower-case without port, empty where there is none that could be one; `path` and `query` are as sent.
    `source` is the address that the ALB itself saw: it appends it to X-Forwarded-For.
    """

    load_balancer_id: str
    method: str
    host: str
    host_port: int | None
    path: str
    query: str
    scheme: str
    port: int | None
    source: str | None
    headers: dict[str, str] = field(repr=False)
    multi: bool

    @property
    def is_health_check(self) -> bool:
        """The ALB's own look at the target group. What it forwards for a client carries the client's address."""
        checks = self.headers.get("user-agent", "").startswith("ELB-HealthChecker/")
        return checks and "x-forwarded-for" not in self.headers

    @property
    def wants_page(self) -> bool:
        """Whether a person's browser goes there: programs that fetch from within a page say another mode."""
        mode = self.headers.get("sec-fetch-mode", "navigate")
        poll = "autostop-poll" in self.headers
        return "text/html" in self.headers.get("accept", "").lower() and (mode in {"navigate", ""} or poll)

    @property
    def reads_only(self) -> bool:
        """Whether it can be sent again by the browser alone."""
        return self.method in {"GET", "HEAD"}

    @property
    def url(self) -> str | None:
        """Itself again, for a redirect; None where a header could not carry it."""
        if not self.host or not self.path.startswith("/"):
            return None
        port = f":{self.host_port}" if self.host_port is not None else ""
        query = f"?{self.query}" if self.query else ""
        url = f"{self.scheme}://{self.host}{port}" + quote(self.path + query, safe=_KEPT)
        return url if len(url) <= LONGEST_URL else None


def read(event: object) -> AlbRequest | None:
    """The request in an event; None for what is none of an ALB's."""
    data = _dict(event)
    arn = _dict(_dict(data.get("requestContext")).get("elb")).get("targetGroupArn")
    group = _GROUP.fullmatch(arn) if isinstance(arn, str) else None
    if group is None:
        return None
    multi = isinstance(data.get("multiValueHeaders"), dict)
    headers = _headers(data, multi=multi)
    host, host_port = _host(headers.get("host", ""))
    path = _text(data.get("path"), LONGEST_PATH + 1)
    return AlbRequest(
        group[1].replace("-", "_", 1),
        _text(data.get("httpMethod"), 32).upper(),
        host,
        host_port,
        path if 0 < len(path) <= LONGEST_PATH else "/",
        _query(data),
        "https" if headers.get("x-forwarded-proto", "").lower() == "https" else "http",
        _port(headers.get("x-forwarded-port", "")),
        _last_hop(headers.get("x-forwarded-for", "")),
        headers,
        multi,
    )


def _headers(data: dict[str, Any], *, multi: bool) -> dict[str, str]:
    """By lower-case name; of one that came several times, all, as they would stand in one."""
    found: dict[str, str] = {}
    for name, value in _dict(data.get("multiValueHeaders" if multi else "headers")).items():
        if isinstance(name, str):
            values = value if multi and isinstance(value, list) else [value]
            found[name.lower()] = ", ".join(_text(one, LONGEST_PATH) for one in values)
    return found


def _query(data: dict[str, Any]) -> str:
    """As the client sent it: an ALB does not decode it."""
    several, single = data.get("multiValueQueryStringParameters"), data.get("queryStringParameters")
    pairs: list[str] = []
    if isinstance(several, dict):
        pairs = [_pair(name, one) for name, value in several.items() for one in _list(value)]
    elif isinstance(single, dict):
        pairs = [_pair(name, value) for name, value in single.items()]
    return "&".join(pairs)


def _pair(name: object, value: object) -> str:
    text = _text(value, LONGEST_PATH)
    return f"{_text(name, LONGEST_PATH)}={text}" if text else _text(name, LONGEST_PATH)


def _host(header: str) -> tuple[str, int | None]:
    """`app.example.com:8443` in its parts. Anything that is no name is nobody's host."""
    name, colon, port = header.strip().lower().partition(":")
    name = name.removesuffix(".")
    if len(name) > LONGEST_HOST or name.count(".") >= MOST_LABELS or not _HOST.fullmatch(name):
        return "", None
    return name, _port(port) if colon else None


def _port(text: str) -> int | None:
    good = text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65_536  # noqa: PLR2004
    return int(text) if good else None


def _last_hop(header: str) -> str | None:
    """The last address of it, with or without the client's port; before it anybody may have written anything.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
    """
    last = header.rpartition(",")[2].strip()
    if last.startswith("["):
        last = last[1:].partition("]")[0]
    elif last.count(":") == 1:
        last = last.partition(":")[0]
    try:
        return str(ip_address(last))
    except ValueError:
        return None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: object, longest: int) -> str:
    """Text that UTF-8 can carry: JSON can hold halves of characters, which nothing behind us takes."""
    return value[:longest].encode(errors="replace").decode() if isinstance(value, str) else ""
