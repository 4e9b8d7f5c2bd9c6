"""The HTTP requests in X-Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.bootstrap import telling

if TYPE_CHECKING:
    from collections.abc import Callable


def middleware(request: Any, get_response: Callable[[Any], Any]) -> Any:  # noqa: ANN401  (Chalice's own types)
    """Trace an HTTP request under its route; polls of proxies, the bulk of all requests, are left out."""
    route = str(request.context.get("resourcePath", ""))
    if route.endswith("/config"):
        return get_response(request)
    with telling.tracer().step("route", route=route, method=str(request.method)):
        return get_response(request)
