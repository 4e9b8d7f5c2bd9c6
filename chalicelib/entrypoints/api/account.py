"""Routes of the whole account: liveness, keys, events, and the contract as OpenAPI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib import __version__
from chalicelib.domain.access import Role
from chalicelib.domain.deep_health import Health, worst
from chalicelib.entrypoints.api import account_settings, balancers, install, rules, savings, schedules
from chalicelib.entrypoints.api.models import ApiKeyBody
from chalicelib.entrypoints.api.openapi import document
from chalicelib.entrypoints.api.problems import problem
from chalicelib.entrypoints.api.routing import Call, Routes, answer
from chalicelib.entrypoints.api.rules import between
from chalicelib.entrypoints.api.views import Json, event_view, key_view, page_of

if TYPE_CHECKING:
    from chalice.app import Response

routes = Routes(__name__)


@routes.add("GET", "/health", None, "Liveness and version")
def health(call: Call[None]) -> Json:
    del call
    return {"status": "ok", "version": __version__}


@routes.add("GET", "/health/deep", Role.OPERATOR, "How well the stage is: 503 where it fails")
def deep_health(call: Call[None]) -> Response:
    checks = call.services.check_health().run()
    health = worst(checks)
    told = [{"name": check.name, "health": check.health.value, "words": check.words} for check in checks]
    body: Json = {"health": health.value, "version": __version__, "checks": told}
    if health is not Health.FAILING:
        return answer(body, 200)
    words = "; ".join(f"{check.name}: {check.words}" for check in checks if check.health is Health.FAILING)
    return problem(503, "Failing", words, more=body)


@routes.add("GET", "/api-keys", Role.ADMIN, "List API keys")
def list_keys(call: Call[None]) -> Json:
    return page_of(call.services.manage_api_keys.page(*call.page), key_view)


@routes.add("POST", "/api-keys", Role.ADMIN, "Create an API key; its secret is shown once", body=ApiKeyBody, status=201)
def create_key(call: Call[ApiKeyBody]) -> Json:
    body = call.body
    new = call.services.manage_api_keys.create(
        Role(body.role), body.name, call.by, expires_at=body.expires_at, load_balancer_id=body.load_balancer_id
    )
    return {**key_view(new.key), "token": new.token}


@routes.add("DELETE", "/api-keys/{key_id}", Role.ADMIN, "Delete an API key")
def delete_key(call: Call[None], key_id: str) -> Json:
    call.services.manage_api_keys.delete(key_id, call.by)
    return {"id": key_id}


@routes.add("GET", "/events", Role.VIEWER, "The history of the whole account")
def all_events(call: Call[None]) -> Json:
    limit, cursor = call.page
    return page_of(call.services.events.all(*between(call), limit, cursor), event_view)


@routes.add("GET", "/openapi.json", None, "This contract, as OpenAPI 3.1")
def openapi(call: Call[None]) -> Json:
    del call
    tables = (part.routes.table for part in (account_settings, rules, schedules, balancers, install, savings))
    return document([*routes.table, *(route for table in tables for route in table)])
