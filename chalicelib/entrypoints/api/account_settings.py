"""Routes of the account's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from chalicelib.domain.access import Role
from chalicelib.domain.account import STOPS_PER_TICK, AccountSettings
from chalicelib.entrypoints.api.models import Strict, Words
from chalicelib.entrypoints.api.routing import Call, Routes
from chalicelib.entrypoints.api.rules import with_etag
from chalicelib.entrypoints.api.views import Json, stamp

if TYPE_CHECKING:
    from chalice.app import Response

routes = Routes(__name__)


class AccountBody(Strict):
    """`PUT /account`. `max_stops_per_tick`: resources that begin to be stopped in one minute, null for any number."""

    paused: bool = False
    pause_reason: Words | None = None
    max_stops_per_tick: int | None = Field(default=STOPS_PER_TICK, ge=1, le=100_000)


@routes.add("GET", "/account", Role.VIEWER, "The switches of the whole account")
def get_account(call: Call[None]) -> Response:
    return with_etag(_view(call.services.manage_account.get()))


@routes.add("PUT", "/account", Role.ADMIN, "Pause all stops, or limit how many begin in a minute", body=AccountBody)
def put_account(call: Call[AccountBody]) -> Response:
    body = call.body
    wanted = AccountSettings(body.paused, body.pause_reason, body.max_stops_per_tick)
    return with_etag(_view(call.services.manage_account.replace(wanted, call.by, call.version)))


def _view(settings: AccountSettings) -> Json:
    return {
        "paused": settings.paused,
        "pause_reason": settings.pause_reason,
        "max_stops_per_tick": settings.max_stops_per_tick,
        "changed_by": settings.changed_by,
        "changed_at": stamp(settings.changed_at),
        "version": settings.version,
    }
