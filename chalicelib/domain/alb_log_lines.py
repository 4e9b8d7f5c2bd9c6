"""Lines of an ALB's access log, read: hostile until they are, and never raising. Pure.

Fields in their order, new ones at the end:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html#access-log-entry-syntax
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

OURS = b":targetgroup/as-ru-"
"""In every line that is of a rule: most others need no more than to be looked at for it."""

_WORD = rb"(?>\S+)"
_TEXT = rb'"(?>(?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    rb"(?>(?P<type>\S+)) (?>(?P<time>\S+)) (?>(?P<alb>\S+)) (?>(?P<client>\S+)) (?>(?P<target>\S+)) "
    # three times of processing, two status codes
    + (_WORD + b" ") * 5
    + rb"(?>(?P<received>\d{1,18})) (?>(?P<sent>\d{1,18})) "
    rb'(?P<request>"(?>(?:[^"\\]|\\.)*)") (?P<agent>"(?>(?:[^"\\]|\\.)*)") '
    # cipher and protocol of TLS
    + (_WORD + b" ") * 2
    + rb"(?>(?P<group>\S+)) "
    # trace id, domain name and certificate; the priority of the listener rule
    + (_TEXT + b" ") * 3
    + _WORD
    + rb" (?>(?P<created>\S+))(?: |$)"
)
_GROUP = re.compile(rb"arn:[a-z0-9-]+:elasticloadbalancing:[a-z0-9-]+:\d{12}:targetgroup/as-ru-([a-z0-9-]{1,26})/\S+")
_NOBODY = b"-"


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request for a rule. `alb` is the end of its ARN, such as app/as-lb-1/50dc6c495c0c9188.

    `group` is the ARN of the target group; `reached`: a target was chosen, so RequestCount has it too. `created` is
    when the ALB got it, `ended` when it was answered. `path` is without query, `client` an IP address; both as they
    were sent.
    """

    rule_id: str
    alb: str
    group: str
    created: datetime
    ended: datetime
    client: str
    path: str
    user_agent: str
    reached: bool
    bytes_in: int
    bytes_out: int


class MalformedLogLineError(ValueError):
    """No line of an access log, or one whose times cannot be read."""


def parse(line: bytes) -> LoggedRequest | None:
    """One line; None for what went to no target group of a rule. Raises MalformedLogLineError."""
    if OURS not in line:
        return None
    found = _LINE.match(line)
    if found is None:
        raise MalformedLogLineError("not as AWS documents it")
    group = _GROUP.fullmatch(found["group"])
    if group is None:
        return None
    client = found["client"].rpartition(b":")[0].decode(errors="replace").strip("[]")
    return LoggedRequest(
        f"ru_{group[1].decode()}",
        found["alb"].decode(errors="replace"),
        found["group"].decode(errors="replace"),
        _time(found["created"]),
        _time(found["time"]),
        client,
        _path(found["request"][1:-1]),
        found["agent"][1:-1].decode(errors="replace"),
        found["target"] != _NOBODY,
        int(found["received"]),
        int(found["sent"]),
    )


def _time(text: bytes) -> datetime:
    try:
        at = datetime.fromisoformat(text.decode("ascii"))
    except (ValueError, UnicodeDecodeError) as error:
        raise MalformedLogLineError("a time that is none") from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _path(request: bytes) -> str:
    """Of `GET http://host:80/path?query HTTP/1.1`; / where there is none."""
    url = request.partition(b" ")[2].rpartition(b" ")[0]
    rest = url.partition(b"://")[2]
    slash = rest.find(b"/")
    return rest[slash:].partition(b"?")[0].decode(errors="replace") if slash >= 0 else "/"
