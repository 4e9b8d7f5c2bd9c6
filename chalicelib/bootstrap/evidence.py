"""For the functions that store what was seen."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from chalicelib.bootstrap.parts import settings, stores

if TYPE_CHECKING:
    from chalicelib.usecases.ingest_activity import Ingest
    from chalicelib.usecases.ingest_alb_logs import IngestAlbLogs
    from chalicelib.usecases.ingest_flows import IngestFlows


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


@cache
def ingest_flows() -> IngestFlows:
    """For the `flow_logs` function. Raises FlowFormatError where the format of the stage cannot tell what is needed."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.domain.flow_logs import VERSION_2, FlowFormat, Least
    from chalicelib.usecases.ingest_flows import IngestFlows

    s, stage = stores(), settings()
    least = Least(stage.flow_log_least_packets, stage.flow_log_least_bytes)
    layout = FlowFormat.of(stage.flow_log_fields or VERSION_2)
    return IngestFlows(s.activity, s.flows, SystemClock(), layout, stage.flow_log_window, least)
