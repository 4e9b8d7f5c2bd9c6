"""Open Session Manager sessions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.resources import ResourceRef


class SsmSessions:
    """Implements Sessions: one listing a region, whatever the number of instances.

    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeSessions.html
    """

    def open(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, int]:
        counts = {region: _by_target(region) for region in sorted({ref.region for ref in refs})}
        return {ref: counts[ref.region][ref.id] for ref in refs}


def _by_target(region: str) -> Counter[str]:
    ssm: Any = client("ssm", region)
    with translated():
        pages = ssm.get_paginator("describe_sessions").paginate(State="Active")
        return Counter(session.get("Target", "") for page in pages for session in page["Sessions"])
