"""The contract as OpenAPI 3.1, made from the same route table and models that serve and validate."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from chalicelib import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.entrypoints.api.routing import Route

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def document(table: Sequence[Route]) -> dict[str, Any]:
    """The whole document."""
    bodies = {body for route in table for body in (route.body, route.alb) if body is not None}
    ordered = sorted(bodies, key=lambda model: model.__name__)
    _, definitions = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in sorted(table, key=lambda route: (route.path, route.method)):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "AutoStop", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**definitions.get("$defs", {}), "Problem": _PROBLEM},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "ak_ID_SECRET"}},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}_{re.sub(r'[^a-z]+', '_', route.path).strip('_') or 'root'}",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", route.path)
        ]
        + [
            {"name": name, "in": "query", "required": False, "schema": {"type": "string", "format": "date-time"}}
            for name in route.query
        ],
        "responses": {
            str(route.status): {"description": "Done"},
            "default": {
                "description": "A problem (RFC 9457)",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    if route.role is not None:
        operation["security"] = [{"key": []}]
        operation["x-role"] = route.role.value
    if route.or_its_proxy:
        operation["x-or-its-proxy"] = True
    if route.media is not None:
        operation["responses"][str(route.status)]["content"] = {route.media: {"schema": {"type": "string"}}}
    if route.body is not None:
        schema: dict[str, Any] = {"$ref": f"#/components/schemas/{route.body.__name__}"}
        if route.alb is not None:
            kinds = {"proxy": schema["$ref"], "alb": f"#/components/schemas/{route.alb.__name__}"}
            refs = [{"$ref": ref} for ref in kinds.values()]
            schema = {"oneOf": refs, "discriminator": {"propertyName": "kind", "mapping": kinds}}
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return operation
