"""X-Ray, for the invocations that are sampled. The SDK costs 200 ms of import, so nobody else pays for it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def sampled() -> bool:
    """Whether Lambda traces this invocation. It sets the header anew for each one, and only while tracing is on."""
    return "Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", "").split(";")


@contextmanager
def subsegment(name: str, **annotations: str | int) -> Iterator[None]:
    """Trace what happens inside, with every call to AWS in it; nothing at all where the invocation is not sampled."""
    if not sampled():
        yield
        return
    with _recorder().in_subsegment(name) as segment:
        for key, value in annotations.items():
            if segment is not None:
                segment.put_annotation(key, value)
        yield


def middleware(request: Any, get_response: Callable[[Any], Any]) -> Any:  # noqa: ANN401  (Chalice's own types)
    """Trace an HTTP request under its route; polls of proxies, the bulk of all requests, are left out."""
    route = str(request.context.get("resourcePath", ""))
    if route.endswith("/config"):
        return get_response(request)
    with subsegment("route", route=route, method=str(request.method)):
        return get_response(request)


@cache
def _recorder() -> Any:  # noqa: ANN401  (the SDK has no types)
    from aws_xray_sdk.core import patch, xray_recorder

    patch(("botocore",))  # PynamoDB's calls go through it too
    return xray_recorder
