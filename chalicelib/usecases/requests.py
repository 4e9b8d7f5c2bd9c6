"""Asking the worker to look at rules: grouped by region and kind, with an expiry."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.ports import ReconcileRequest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from chalicelib.domain.resources import ResourceKind
    from chalicelib.domain.rules import Rule

GROUP = 100
"""Rules a message: the worker describes and reads once for all of them."""

EXPIRY = timedelta(minutes=2)
"""A request that waited for longer is dropped: the next tick asks again for what is still due."""


def requests_for(
    rules: Iterable[tuple[str, ResourceKind, str]], cause: str, now: datetime
) -> tuple[ReconcileRequest, ...]:
    """Group (rule id, kind, region) into messages of up to 100 rules of one region and kind."""
    groups: dict[tuple[ResourceKind, str], list[str]] = defaultdict(list)
    for id_, kind, region in rules:
        groups[kind, region].append(id_)
    return tuple(
        ReconcileRequest(kind, region, tuple(ids[start : start + GROUP]), now + EXPIRY, cause)
        for (kind, region), ids in groups.items()
        for start in range(0, len(ids), GROUP)
    )


def request_for(rule: Rule, cause: str, now: datetime) -> ReconcileRequest:
    """One message for one rule."""
    return requests_for([(rule.id, rule.spec.kind, rule.spec.region)], cause, now)[0]
