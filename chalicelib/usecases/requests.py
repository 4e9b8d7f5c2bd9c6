"""Asking the worker to look at rules: grouped by place, with an expiry."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.ports import ReconcileRequest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from chalicelib.domain.resources import Place
    from chalicelib.domain.rules import Rule

GROUP = 500
"""Rules a message: the worker describes and reads once for all of them, and GetMetricData takes 500 series a call."""

RESTARTED_BY_AWS = "restarted by aws"
"""The cause of a request that carries AWS's word for why its databases start."""

EXPIRY = timedelta(minutes=2)
"""A request that waited for longer is dropped: the next tick asks again for what is still due."""


def requests_for(rules: Iterable[tuple[str, Place]], cause: str, now: datetime) -> tuple[ReconcileRequest, ...]:
    """Group (rule id, place) into messages of up to 500 rules of one place."""
    groups: dict[Place, list[str]] = defaultdict(list)
    for id_, place in rules:
        groups[place].append(id_)
    return tuple(
        ReconcileRequest(place, tuple(ids[start : start + GROUP]), now + EXPIRY, cause)
        for place, ids in groups.items()
        for start in range(0, len(ids), GROUP)
    )


def request_for(rule: Rule, cause: str, now: datetime) -> ReconcileRequest:
    """One message for one rule."""
    return requests_for([(rule.id, rule.spec.place)], cause, now)[0]
