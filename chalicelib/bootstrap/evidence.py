"""For the functions that store what was seen."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from chalicelib.bootstrap.parts import settings, stores

if TYPE_CHECKING:
    from chalicelib.usecases.ingest_activity import Ingest


@cache
def ingest() -> Ingest:
    """For the `proxy_logs` function."""
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.usecases.ingest_activity import Ingest

    s = stores()
    return Ingest(s.activity, s.proxies, s.balancers, s.events, SystemClock(), RandomIds(), settings().heartbeat)
