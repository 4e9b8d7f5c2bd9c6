"""X-Ray, for the invocations that are sampled. The SDK costs 200 ms of import, so nobody else pays for it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from chalicelib.ports.measures import no_annotation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.ports.measures import Annotate

MOST_STEPS = 50
"""Of one invocation that are traced by themselves: a message has up to 500 rules, too many for a trace."""


class XRayTracer:
    """Implements Tracer."""

    def __init__(self) -> None:
        self._trace = ""
        self._steps = 0

    @contextmanager
    def step(self, name: str, **annotations: str | int) -> Iterator[Annotate]:
        if not sampled() or not self._room():
            yield no_annotation
            return
        with _recorder().in_subsegment(name) as segment:

            def annotate(**more: str | int) -> None:
                for key, value in more.items():
                    if segment is not None:
                        segment.put_annotation(key, value)

            annotate(**annotations)
            yield annotate

    def _room(self) -> bool:
        trace = os.environ.get("_X_AMZN_TRACE_ID", "")
        if trace != self._trace:
            self._trace, self._steps = trace, 0
        self._steps += 1
        return self._steps <= MOST_STEPS


def sampled() -> bool:
    """Whether Lambda traces this invocation. It sets the header anew for each one, and only while tracing is on."""
    return "Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", "").split(";")


@cache
def _recorder() -> Any:  # noqa: ANN401  (the SDK has no types)
    from aws_xray_sdk.core import patch, xray_recorder  # noqa: PLC0415  (200 ms)

    patch(("botocore",))  # PynamoDB's calls go through it too
    return xray_recorder
