"""For what tells operators of the work: metrics and traces."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from chalicelib.bootstrap.parts import settings

if TYPE_CHECKING:
    from chalicelib.ports.measures import Measures, Tracer


@cache
def measures() -> Measures:
    """Of this process; each invocation flushes them."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.adapters.emf import EmfMeasures

    return EmfMeasures(settings().stage, SystemClock())


@cache
def tracer() -> Tracer:
    """Of this process."""
    from chalicelib.adapters.aws.xray import XRayTracer

    return XRayTracer()
