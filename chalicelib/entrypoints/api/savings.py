"""Routes of savings."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.access import Role
from chalicelib.domain.errors import Fault, InvalidInputError
from chalicelib.entrypoints.api.routing import Call, Routes
from chalicelib.entrypoints.api.rules import between
from chalicelib.entrypoints.api.savings_views import account_savings_view, rule_savings_view

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.entrypoints.api.views import Json

LONGEST = timedelta(days=400)

routes = Routes(__name__)


@routes.add(
    "GET",
    "/rules/{rule_id}/savings",
    Role.VIEWER,
    "What a rule saved, by UTC day, or in dry run would have",
    query=("from", "to"),
)
def of_rule(call: Call[None], rule_id: str) -> Json:
    return rule_savings_view(call.services.savings().of_rule(rule_id, *_between(call)))


@routes.add("GET", "/savings", Role.VIEWER, "What the whole account saved, by UTC day", query=("from", "to"))
def of_account(call: Call[None]) -> Json:
    return account_savings_view(call.services.savings().of_account(*_between(call)))


def _between(call: Call[None]) -> tuple[datetime, datetime]:
    start, end = between(call)
    if end - start > LONGEST:
        raise InvalidInputError((Fault("from", f"is more than {LONGEST.days} days before to"),))
    return start, end
