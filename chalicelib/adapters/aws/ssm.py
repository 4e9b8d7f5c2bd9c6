"""Open Session Manager sessions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.resources import Connector, ResourceRef


class SsmSessions:
    """Implements Sessions: one listing a region and account, whatever the number of instances.

    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeSessions.html
    """

    def open(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, int]:
        places = sorted({(ref.region, ref.connector) for ref in refs})
        counts = {place: _by_target(*place) for place in places}
        return {ref: counts[ref.region, ref.connector][ref.id] for ref in refs}


def _by_target(region: str, connector: Connector) -> Counter[str]:
    ssm: Any = client("ssm", region, connector)
    with translated():
        pages = ssm.get_paginator("describe_sessions").paginate(State="Active")
        return Counter(session.get("Target", "") for page in pages for session in page["Sessions"])
