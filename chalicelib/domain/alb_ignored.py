"""Which of the requests that an ALB has counted were only such as a rule ignores. Pure.

RequestCount does not say who asked; the access log does, later. A counted request is explained by a line of the log
that the rule ignores, one for one. A line is written when a request is answered and tells when it came, and AWS does
not say which of the two the metric goes by: they may be a minute apart.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MINUTE = timedelta(minutes=1)


def ignored_at(group_arn: str) -> str:
    """What the source of totals of such requests begins with; the name of the file of the log follows.

    Requests are counted by target group, and a rule can get another one.
    """
    return f"ignored at {group_arn.rpartition('/')[2]} in "


LONGEST = MINUTE
"""A request that took longer explains nothing: nobody knows in which minute it was counted."""

EDGE = timedelta(minutes=5)
"""So much before the time in question is looked at as well: at the very beginning lines are missing."""

LOGS_LATE = timedelta(minutes=15)
"""An ALB writes its log every five minutes, and the file can be some minutes late. Later than that is not waited for.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html#access-log-file-format
"""


def unexplained(counted: Mapping[datetime, int], ignored: Mapping[datetime, int]) -> dict[datetime, int]:
    """The minutes with requests that no ignored one explains, and how many; both by the beginning of minutes.

    Each line explains one request of its own minute or of one beside it. The oldest lines are taken first, which
    leaves the fewest requests unexplained.
    """
    left = dict(ignored)
    found: dict[datetime, int] = {}
    for minute in sorted(counted):
        open_ = counted[minute]
        for line in (minute - MINUTE, minute, minute + MINUTE):
            taken = min(open_, left.get(line, 0))
            if taken:
                left[line] -= taken
                open_ -= taken
        if open_ > 0:
            found[minute] = open_
    return found
