"""Routes that the proxy answers itself: 301 to somewhere else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chalicelib.envoy.compact import Redirect


def redirect_route(rule_id: str, redirect: Redirect, match: dict[str, Any]) -> dict[str, Any]:
    """One route. It names no rule to the access log, so it neither wakes nor counts; nor does it need a target."""
    metadata = {"filter_metadata": {"autostop": {"redirected": rule_id}}}
    return {"match": match, "metadata": metadata, "redirect": _to(redirect.url)}


def _to(url: str | None) -> dict[str, Any]:
    """Envoy's RedirectAction: just that URL, or the client's own on https (the listener strips the port)."""
    moved = {"response_code": "MOVED_PERMANENTLY"}
    if url is None:
        return {"https_redirect": True, **moved}
    scheme, _, rest = url.partition("://")
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    path = rest[len(host) :]
    # Without a path Envoy would keep the client's, without a query the client's query.
    return {
        "scheme_redirect": scheme.lower(),
        "host_redirect": host,
        "path_redirect": path if path.startswith("/") else f"/{path}",
        "strip_query": "?" not in path,
        **moved,
    }
