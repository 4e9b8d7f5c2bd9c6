"""The HTTP API, from the document that it serves."""

from __future__ import annotations

import os
from typing import Any

from scripts.reference.tables import one_line, table


def page() -> str:
    """Every route, and every body with its fields."""
    document = _document()
    rows = [
        [f"`{method.upper()} {path}`", operation.get("x-role", "–"), operation["summary"]]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = document["components"]["schemas"]
    bodies = [_body(name, schema) for name, schema in sorted(schemas.items()) if schema.get("properties")]
    return f"""# The HTTP API

Version {document["info"]["version"]}; the same as `GET /openapi.json`, which has every constraint. JSON, UTF-8, times in RFC 3339
UTC. `Authorization: Bearer ak_ID_SECRET`. Errors are RFC 9457 problems, with all faults of a body at once in `errors`. Lists
take `limit` (1 to 500) and `cursor`; updates take `If-Match`; a `POST` that makes something takes `Idempotency-Key`.
Roles: `admin` may do what an `operator` may, and that what a `viewer` may; `proxy` is for one load balancer's own proxies.

{table(("route", "role", ""), rows)}
# Bodies

{chr(10).join(bodies)}"""


def _document() -> dict[str, Any]:
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    from chalicelib.entrypoints.api import (  # noqa: PLC0415  (chalice wants a region as it is imported)
        account,
        account_settings,
        balancers,
        install,
        rules,
        savings,
        schedules,
    )
    from chalicelib.entrypoints.api.openapi import document  # noqa: PLC0415

    parts = (account, account_settings, rules, schedules, balancers, install, savings)
    return document([route for part in parts for route in part.routes.table])


def _body(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = [
        [
            f"`{field}`",
            _type(told),
            "needed" if field in required else _default(told),
            one_line(told.get("description")),
        ]
        for field, told in schema["properties"].items()
    ]
    words = one_line(schema.get("description"))
    return f"## {name}\n\n{words}\n\n{table(('field', 'is', 'default', ''), rows)}".replace("\n\n\n", "\n\n")


def _default(told: dict[str, Any]) -> str:
    return f"`{told['default']!r}`" if "default" in told else ""


def _type(told: dict[str, Any]) -> str:
    if "$ref" in told:
        name = told["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    for kind in ("anyOf", "oneOf"):
        if kind in told:
            return " or ".join(_type(one) for one in told[kind])
    if "enum" in told:
        return ", ".join(f"`{value}`" for value in told["enum"])
    if "const" in told:
        return f"`{told['const']}`"
    if told.get("type") == "array":
        return f"list of {_type(told.get('items', {}))}"
    bounds = [f"{words} {told[key]}" for key, words in _BOUNDS.items() if key in told]
    return ", ".join([str(told.get("format") or told.get("type") or "anything"), *bounds])


_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "above",
    "maxLength": "characters at most",
    "minLength": "characters at least",
}
