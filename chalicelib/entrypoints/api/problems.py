"""Errors as RFC 9457 problem details."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from chalice.app import Response

from chalicelib.domain.errors import (
    AlreadyClaimedError,
    AutoStopError,
    CloudError,
    ConflictError,
    Fault,
    ForbiddenError,
    InvalidInputError,
    LostClaimError,
    NotFoundError,
    ThrottledError,
    TooLargeError,
    UnauthorizedError,
    VersionMismatchError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROBLEM = "application/problem+json"

_STATUS: Mapping[type[AutoStopError], tuple[int, str]] = {
    InvalidInputError: (400, "Invalid input"),
    TooLargeError: (400, "Too large"),
    UnauthorizedError: (401, "Not authenticated"),
    ForbiddenError: (403, "Not allowed"),
    NotFoundError: (404, "Not found"),
    AlreadyClaimedError: (409, "Already taken"),
    ConflictError: (409, "Conflict"),
    LostClaimError: (409, "Conflict"),
    VersionMismatchError: (412, "Changed meanwhile"),
    ThrottledError: (503, "AWS asked to slow down"),
    CloudError: (502, "AWS refused"),
}


def problem(
    status: int, title: str, detail: str, faults: Sequence[Fault] = (), more: Mapping[str, object] | None = None
) -> Response:
    """One answer; `errors` has every fault of bad input, `more` is members of its own (RFC 9457, 3.2)."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        **(more or {}),
    }
    if faults:
        body["errors"] = [{"field": fault.field, "message": fault.message} for fault in faults]
    headers: dict[str, str | list[str]] = {"Content-Type": PROBLEM, "Cache-Control": "no-store"}
    if status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:  # noqa: PLR2004
        headers["Retry-After"] = "5"
    return Response(json.dumps(body), headers, status)


def from_error(error: AutoStopError) -> Response:
    """The problem that an error of ours is."""
    status, title = next((known for kind, known in _STATUS.items() if isinstance(error, kind)), (500, "Failed"))
    faults = error.faults if isinstance(error, InvalidInputError) else ()
    if isinstance(error, AlreadyClaimedError):
        faults = tuple(Fault(what, f"belongs to rule {owner}") for what, owner in sorted(error.owners.items()))
    return problem(status, title, str(error), faults)
