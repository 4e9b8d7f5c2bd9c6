"""Routes of schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.domain.access import Role
from chalicelib.entrypoints.api.routing import Call, Routes
from chalicelib.entrypoints.api.rules import with_etag
from chalicelib.entrypoints.api.schedule_model import ScheduleBody
from chalicelib.entrypoints.api.views import Json, page_of, schedule_view

if TYPE_CHECKING:
    from chalice.app import Response

routes = Routes(__name__)


@routes.add("GET", "/schedules", Role.VIEWER, "List schedules")
def list_schedules(call: Call[None]) -> Json:
    return page_of(call.services.manage_schedules.page(*call.page), schedule_view)


@routes.add("POST", "/schedules", Role.ADMIN, "Create a schedule", body=ScheduleBody, status=201)
def create_schedule(call: Call[ScheduleBody]) -> Response:
    draft = call.body.draft(call.services.clock.now())
    return with_etag(schedule_view(call.services.manage_schedules.create(draft, call.by, call.idempotency)), 201)


@routes.add("GET", "/schedules/{schedule_id}", Role.VIEWER, "Read a schedule")
def get_schedule(call: Call[None], schedule_id: str) -> Response:
    return with_etag(schedule_view(call.services.manage_schedules.get(schedule_id)))


@routes.add("PUT", "/schedules/{schedule_id}", Role.ADMIN, "Replace a schedule", body=ScheduleBody)
def put_schedule(call: Call[ScheduleBody], schedule_id: str) -> Response:
    draft = call.body.draft(call.services.clock.now())
    return with_etag(schedule_view(call.services.manage_schedules.replace(schedule_id, draft, call.by, call.version)))


@routes.add("DELETE", "/schedules/{schedule_id}", Role.ADMIN, "Delete a schedule")
def delete_schedule(call: Call[None], schedule_id: str) -> Json:
    call.services.manage_schedules.delete(schedule_id, call.by, call.version)
    return {"id": schedule_id}
