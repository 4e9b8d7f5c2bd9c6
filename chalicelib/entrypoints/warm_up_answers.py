"""The answers of the `warm_up` function: finds the rule of a request, has it started, says how far it is.

Every answer is in docs/reference/warm-up-answers.md. It is no place for anything slow: a browser waits for it.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.bootstrap import traffic
from chalicelib.domain.errors import AutoStopError
from chalicelib.entrypoints.alb_events import read
from chalicelib.entrypoints.warm_up_words import Words, brand_of, problem_of, view_of, words_of
from chalicelib.envoy.progress_page import PAGE_HEADER, PageView, render, security_headers
from chalicelib.usecases.answer_traffic import Extras, Outcome, Told, Visit

if TYPE_CHECKING:
    from chalicelib.entrypoints.alb_events import AlbRequest

log = logging.getLogger(__name__)

MARGIN = timedelta(seconds=3)
"""Of the invocation that is left for the answer after a hold."""

_STATUS = {200: "OK", 307: "Temporary Redirect", 400: "Bad Request", 404: "Not Found", 503: "Service Unavailable"}
_TROUBLE = Words(503, "Not reachable now", "AutoStop cannot look it up at the moment.", retry_after=5)


def handle(event: object, context: object) -> dict[str, Any]:
    """The answer to an ALB's event."""
    request = read(event)
    if request is None:
        log.warning("no request of an ALB")
        return _plain(400, "This function answers load balancers of AutoStop.", multi=False)
    if request.is_health_check:
        return _plain(200, "ok", multi=request.multi)
    try:
        return _answer(request, context)
    except AutoStopError:
        # What was written stands: the rule is due, and the tick sees it.
        log.exception("a request could not be answered as it should")
        return _said(request, _TROUBLE, Told(Outcome.UNKNOWN), Extras())


def _answer(request: AlbRequest, context: object) -> dict[str, Any]:
    answers = traffic.answer_traffic()
    visit = Visit(
        request.load_balancer_id,
        request.host,
        request.path,
        request.port,
        request.source,
        request.headers.get("user-agent", ""),
    )
    told = answers.visit(visit)
    if told.holds:
        told = traffic.hold_traffic().hold(request.load_balancer_id, told, _left(context))
        if told.outcome is Outcome.UP and request.url is not None:
            return _reply(307, {"Location": request.url, "Cache-Control": "no-store"}, "", multi=request.multi)
    extras = answers.extras(request.load_balancer_id, told) if request.wants_page else Extras()
    words = words_of(told, request.host, answers.clock.now(), answers.expected(told))
    return _said(request, words, told, extras)


def _said(request: AlbRequest, words: Words, told: Told, extras: Extras) -> dict[str, Any]:
    headers = {"Cache-Control": "no-store"}
    if words.retry_after is not None:
        headers["Retry-After"] = str(words.retry_after)
    if request.wants_page:
        view = view_of(words, told, extras, again=request.reads_only)
        return _page(request, words.status, headers, view, extras)
    headers["Content-Type"] = "application/problem+json"
    body = "" if request.method == "HEAD" else problem_of(words, told)
    return _reply(words.status, headers, body, multi=request.multi)


def _page(request: AlbRequest, status: int, headers: dict[str, str], view: PageView, extras: Extras) -> dict[str, Any]:
    headers |= {"Content-Type": "text/html; charset=utf-8", PAGE_HEADER: "1", **security_headers(brand_of(extras))}
    if view.refresh is not None:
        headers["Retry-After"] = str(view.refresh)
    return _reply(status, headers, "" if request.method == "HEAD" else render(view), multi=request.multi)


def _plain(status: int, text: str, *, multi: bool) -> dict[str, Any]:
    return _reply(status, {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}, text, multi=multi)


def _reply(status: int, headers: dict[str, str], body: str, *, multi: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "statusCode": status,
        "statusDescription": f"{status} {_STATUS[status]}",
        "isBase64Encoded": False,
        "body": body,
    }
    if multi:
        return answer | {"multiValueHeaders": {name: [value] for name, value in headers.items()}}
    return answer | {"headers": headers}


def _left(context: object) -> timedelta:
    """Of this invocation."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    left = timedelta(milliseconds=remaining()) if callable(remaining) else timedelta(seconds=28)
    return max(timedelta(0), left - MARGIN)
