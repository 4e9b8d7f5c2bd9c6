"""For the functions that store what was seen."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from chalicelib.bootstrap.parts import settings, stores

if TYPE_CHECKING:
    from chalicelib.usecases.ingest_activity import Ingest
    from chalicelib.usecases.ingest_alb_logs import IngestAlbLogs


@cache
def ingest() -> Ingest:
    """For the `proxy_logs` function."""
    import orjson

    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.usecases.ingest_activity import Ingest

    s, beats = stores(), settings().heartbeat
    return Ingest(s.activity, s.proxies, s.balancers, s.events, SystemClock(), RandomIds(), beats, orjson.loads)


@cache
def ingest_alb_logs() -> IngestAlbLogs:
    """For the `alb_logs` function."""
    from chalicelib.adapters.aws.log_objects import S3LogObjects
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.ingest_alb_logs import IngestAlbLogs

    s = stores()
    return IngestAlbLogs(s.rules, s.balancers, s.activity, S3LogObjects(settings().region), SystemClock())
