"""Routes of rules."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalice.app import Response

from chalicelib.domain.access import Role
from chalicelib.domain.errors import Fault, InvalidInputError
from chalicelib.entrypoints.api.models import CoolDownBody, Strict, WarmUpBody
from chalicelib.entrypoints.api.routing import Call, Routes, validated
from chalicelib.entrypoints.api.rule_model import RuleBody
from chalicelib.entrypoints.api.rule_views import explanation_view, rule_view, settings_of
from chalicelib.entrypoints.api.views import Json, event_view, page_of, stamp, total_view

if TYPE_CHECKING:
    from chalicelib.domain.rules import Rule

routes = Routes(__name__)


def with_etag(body: Json, status: int = 200) -> Response:
    """The answer of one thing, with the ETag to send back in `If-Match`."""
    headers: dict[str, str | list[str]] = {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "ETag": f'"{body["version"]}"',
    }
    return Response(json.dumps(body), headers, status)


def between(call: Call[Any]) -> tuple[datetime, datetime]:
    """`from` and `to`, by default the last seven days. Raises InvalidInputError."""
    now = call.services.clock.now()
    faults, times = [], []
    for name, default in (("from", now - timedelta(days=7)), ("to", now + timedelta(seconds=1))):
        text = call.query(name)
        try:
            at = datetime.fromisoformat(text.replace(" ", "+")) if text else default
            times.append(at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            faults.append(Fault(name, "is not an RFC 3339 time"))
    if faults:
        raise InvalidInputError(tuple(faults))
    return times[0], times[1]


@routes.add("GET", "/rules", Role.VIEWER, "List rules")
def list_rules(call: Call[None]) -> Json:
    return page_of(call.services.manage_rules.page(*call.page), lambda rule: rule_view(rule, call.services))


@routes.add("POST", "/rules", Role.ADMIN, "Create a rule", body=RuleBody, status=201)
def create_rule(call: Call[RuleBody]) -> Response:
    rule = call.services.manage_rules.create(call.body.spec(), call.by, call.idempotency)
    return with_etag(rule_view(rule, call.services), 201)


@routes.add("GET", "/rules/{rule_id}", Role.VIEWER, "Read a rule")
def get_rule(call: Call[None], rule_id: str) -> Response:
    return with_etag(rule_view(call.services.manage_rules.get(rule_id), call.services))


@routes.add("PUT", "/rules/{rule_id}", Role.ADMIN, "Replace a rule", body=RuleBody)
def put_rule(call: Call[RuleBody], rule_id: str) -> Response:
    rule = call.services.manage_rules.replace(rule_id, call.body.spec(), call.by, call.version)
    return with_etag(rule_view(rule, call.services))


@routes.add("PATCH", "/rules/{rule_id}", Role.ADMIN, "Change some fields of a rule (RFC 7396)")
def patch_rule(call: Call[None], rule_id: str) -> Response:
    before = call.services.manage_rules.get(rule_id)
    change = call.json()
    if not isinstance(change, dict):
        raise InvalidInputError((Fault("", "the body is not a JSON object"),))
    merged = merge(settings_of(before.spec), change)
    context = call.services.limits
    body = validated(RuleBody, merged, context)
    version = before.version if call.version is None else call.version
    return with_etag(
        rule_view(call.services.manage_rules.replace(rule_id, body.spec(), call.by, version), call.services)
    )


def merge(before: Json, change: Json) -> Json:
    """A JSON merge patch (RFC 7396): null takes away, objects merge, everything else replaces."""
    merged = dict(before)
    for name, value in change.items():
        old = merged.get(name)
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(old, dict):
            merged[name] = merge(old, value)
        else:
            merged[name] = value
    return merged


@routes.add("DELETE", "/rules/{rule_id}", Role.ADMIN, "Delete a rule; ?leave=start (default) or as_is")
def delete_rule(call: Call[None], rule_id: str) -> Json:
    leave = call.query("leave") or "start"
    if leave not in {"start", "as_is"}:
        raise InvalidInputError((Fault("leave", "is not start or as_is"),))
    done = call.services.manage_rules.delete(rule_id, call.by, start=leave == "start", version=call.version)
    return {
        "id": done.rule_id,
        "started": [outcome.ref.id for outcome in done.started if outcome.accepted],
        "refused": [{"id": o.ref.id, "code": o.code, "message": o.message} for o in done.started if not o.accepted],
    }


@routes.add("POST", "/rules/{rule_id}/warm-up", Role.OPERATOR, "Up, until it expires", body=WarmUpBody)
def warm_up(call: Call[WarmUpBody], rule_id: str) -> Response:
    body = call.body
    rule = call.services.overrides.warm_up(rule_id, minutes=body.minutes, by=call.by, reason=body.reason)
    return _answer(rule, call)


@routes.add("POST", "/rules/{rule_id}/cool-down", Role.OPERATOR, "Down now", body=CoolDownBody)
def cool_down(call: Call[CoolDownBody], rule_id: str) -> Response:
    body = call.body
    rule, *taken = call.services.overrides.cool_down(
        rule_id, minutes=body.minutes, force=body.force, propagate=body.propagate, by=call.by, reason=body.reason
    )
    view = rule_view(rule, call.services)
    return with_etag(view | {"taken_along": [{"id": other.id, "name": other.spec.name} for other in taken]})


@routes.add("POST", "/rules/{rule_id}/release", Role.OPERATOR, "End an override", body=Strict)
def release(call: Call[Strict], rule_id: str) -> Response:
    return _answer(call.services.overrides.release(rule_id, by=call.by), call)


@routes.add("POST", "/rules/{rule_id}/heartbeat", Role.OPERATOR, "A job runs: no stop for a while", body=Strict)
def heartbeat(call: Call[Strict], rule_id: str) -> Json:
    return {"id": rule_id, "vetoes_until": stamp(call.services.heartbeat.post(rule_id))}


@routes.add("GET", "/rules/{rule_id}/explain", Role.VIEWER, "The decision now, and why")
def explain(call: Call[None], rule_id: str) -> Json:
    return explanation_view(call.services.explain().run(rule_id), call.services.clock.now())


@routes.add("GET", "/rules/{rule_id}/activity", Role.VIEWER, "What was counted, minute by minute")
def activity(call: Call[None], rule_id: str) -> Json:
    call.services.manage_rules.get(rule_id)
    found = call.services.activity.history(rule_id, *between(call))
    return {"items": [total_view(total) for total in found], "next_cursor": None}


@routes.add("GET", "/rules/{rule_id}/events", Role.VIEWER, "The history of a rule")
def events(call: Call[None], rule_id: str) -> Json:
    limit, cursor = call.page
    return page_of(call.services.events.of_rule(rule_id, *between(call), limit, cursor), event_view)


def _answer(rule: Rule, call: Call[Any]) -> Response:
    return with_etag(rule_view(rule, call.services))
