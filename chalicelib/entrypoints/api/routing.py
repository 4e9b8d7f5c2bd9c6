"""One way to declare a route: who may call it, what body it takes. The one middleware that checks keys and roles."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from chalice.app import Blueprint, Response
from pydantic import BaseModel, ValidationError

from chalicelib.bootstrap import api_handler, telling
from chalicelib.domain.access import Role, authorize, parse_bearer, verify
from chalicelib.domain.errors import AutoStopError, Fault, InvalidInputError, NotFoundError, UnauthorizedError
from chalicelib.entrypoints.api.problems import PROBLEM, from_error, problem
from chalicelib.ports import Idempotency, Measure
from chalicelib.usecases.subject import about

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chalice.app import Request

    from chalicelib.domain.access import ApiKey
    from chalicelib.ports import PollState
    from chalicelib.usecases.services import Services

log = logging.getLogger(__name__)

B = TypeVar("B")
JSON_TYPES = ["application/json", "application/merge-patch+json", "application/problem+json"]
LARGEST_BODY = 256 * 1024


@dataclass(frozen=True, slots=True)
class Route:
    """A route as the OpenAPI document tells of it."""

    path: str
    method: str
    role: Role | None
    summary: str
    body: type[BaseModel] | None
    status: int
    query: tuple[str, ...] = ()
    or_its_proxy: bool = False
    media: str | None = None
    polls: bool = False
    alb: type[BaseModel] | None = None
    """The body where its `kind` is alb."""

    def body_of(self, data: dict[str, Any]) -> type[BaseModel] | None:
        """The model that a body is held against."""
        return self.alb if self.alb is not None and data.get("kind") == "alb" else self.body


@dataclass(frozen=True, slots=True)
class Call(Generic[B]):
    """One request, authenticated and parsed. `key` is None only on routes without a role."""

    services: Services
    request: Request
    body: B
    key: ApiKey | None
    polled: PollState | None = None
    """What a poll read already, as the key of a proxy lies there."""

    @property
    def by(self) -> str:
        """The id of the key that asks."""
        return self.key.id if self.key else "nobody"

    def query(self, name: str) -> str | None:
        """A query parameter."""
        parameters = cast("Mapping[str, str]", self.request.query_params or {})
        value = parameters.get(name)
        return None if value is None else str(value)

    def header(self, name: str) -> str | None:
        """A header."""
        value = self.request.headers.get(name)
        return None if value is None else str(value)

    def json(self) -> object:
        """The body as JSON. Raises InvalidInputError."""
        return _json(self.request)

    @property
    def page(self) -> tuple[int, str | None]:
        """`limit` (1 to 500, default 100) and `cursor`. Raises InvalidInputError."""
        text = self.query("limit") or "100"
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 500):  # noqa: PLR2004
            raise InvalidInputError((Fault("limit", "is not a number from 1 to 500"),))
        return int(text), self.query("cursor")

    @property
    def version(self) -> int | None:
        """The version in `If-Match`, None without. Raises InvalidInputError."""
        text = self.header("if-match")
        if text is None or text.strip() == "*":
            return None
        match = re.fullmatch(r'\s*(?:W/)?"(\d{1,15})"\s*', text)
        if match is None:
            raise InvalidInputError((Fault("If-Match", "is not an ETag of ours"),))
        return int(match[1])

    @property
    def idempotency(self) -> Idempotency | None:
        """The `Idempotency-Key`, bound to the key that sent it and to the body. Raises InvalidInputError."""
        text = self.header("idempotency-key")
        if text is None:
            return None
        if not re.fullmatch(r"[\x21-\x7e]{1,128}", text):
            raise InvalidInputError((Fault("Idempotency-Key", "is not 1 to 128 visible ASCII characters"),))
        body = json.dumps(_json(self.request), sort_keys=True)
        return Idempotency(f"{self.by}#{self.request.context.get('resourcePath')}#{text}", body)


class Routes:
    """A Blueprint whose routes all go through the same door."""

    def __init__(self, name: str) -> None:
        self.blueprint = Blueprint(name)
        self.table: list[Route] = []

    def add(
        self,
        method: str,
        path: str,
        role: Role | None,
        summary: str,
        *,
        body: type[BaseModel] | None = None,
        status: int = 200,
        query: tuple[str, ...] = (),
        or_its_proxy: bool = False,
        media: str | None = None,
        polls: bool = False,
        alb: type[BaseModel] | None = None,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Declare a route; the view gets a Call and the path's parameters, and answers a Response or what is JSON.

        `or_its_proxy`: the key of the load balancer's own proxy will do, too. `media`: what is answered, if not JSON.
        `polls`: the key is looked up in what is polled, which costs no read of its own. `alb`: the body of that kind.
        """
        route = Route(path, method, role, summary, body, status, query, or_its_proxy, media, polls, alb)

        def declare(view: Callable[..., Any]) -> Callable[..., Any]:
            self.table.append(route)

            def guarded(**parameters: str) -> Response:
                return _guard(self.blueprint.current_request, view, route, parameters)

            guarded.__name__ = view.__name__
            self.blueprint.route(path, methods=[method], content_types=JSON_TYPES)(guarded)
            return view

        return declare


def _guard(request: Request, view: Callable[..., Any], route: Route, parameters: Mapping[str, str]) -> Response:
    """Check key and role, parse the body, call the view, and turn every error into a problem."""
    with about(api_request=request_id(request)):
        return _answered(request, view, route, parameters)


def _answered(request: Request, view: Callable[..., Any], route: Route, parameters: Mapping[str, str]) -> Response:
    try:
        services = api_handler.services()
        key = polled = None
        if route.role is not None:
            if route.polls:
                polled = _polled(services, parameters["load_balancer_id"])
            key = _authenticate(services, request, polled)
            authorize(key, route.role, parameters.get("load_balancer_id"), or_its_proxy=route.or_its_proxy)
        body = _parse(request, route) if route.body else None
        with about(**({"key": key.id} if key else {})):
            found = view(Call(services, request, body, key, polled), **parameters)
    except AutoStopError as error:
        if not isinstance(error, InvalidInputError):
            log.info("refused", extra={"problem": str(error), "kind": type(error).__name__})
        return from_error(error)
    return found if isinstance(found, Response) else answer(found, route.status)


def answer(body: object, status: int) -> Response:
    """JSON that nobody keeps; nothing for None."""
    headers: dict[str, str | list[str]] = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(None if body is None else json.dumps(body), headers, status)


def _polled(services: Services, load_balancer_id: str) -> PollState | None:
    """None for what does not exist: who has no key for it does not learn even that."""
    try:
        return services.proxies.poll(load_balancer_id)
    except NotFoundError:
        return None


def _authenticate(services: Services, request: Request, polled: PollState | None = None) -> ApiKey:
    key_id, secret = parse_bearer(request.headers.get("authorization"))
    try:
        known = polled.keys.get(key_id) if polled else None
        key = known or services.keys.get(key_id)
    except NotFoundError:
        raise UnauthorizedError("This API key is not known or has expired.") from None
    verify(key, secret, services.clock.now())
    return key


def _json(request: Request) -> object:
    raw = request.raw_body or b""
    if len(raw) > LARGEST_BODY:
        raise InvalidInputError((Fault("", f"the body is larger than {LARGEST_BODY} bytes"),))
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError((Fault("", f"the body is not JSON: {error}"),)) from error


def _parse(request: Request, route: Route) -> BaseModel | None:
    raw = request.raw_body or b""
    data = _json(request) if raw.strip() else {}
    if not isinstance(data, dict):
        raise InvalidInputError((Fault("", "the body is not a JSON object"),))
    model = route.body_of(data)
    if model is None:
        return None
    return validated(model, data, api_handler.services().limits)


M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], data: dict[str, Any], context: dict[str, object] | None = None) -> M:
    """The model, or InvalidInputError with every fault."""
    try:
        return model.model_validate(data, context=context)
    except ValidationError as error:
        faults = tuple(Fault(_field(e["loc"]), _words(e)) for e in error.errors(include_url=False))
        raise InvalidInputError(faults) from error


def _field(location: tuple[int | str, ...]) -> str:
    # Pydantic marks a fault of a dictionary's key, rather than of its value, with one more part.
    parts = [part for part in location if part != "[key]"]
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.lstrip(".")


def _words(error: object) -> str:
    details = cast("Mapping[str, str]", error)
    if details["type"] == "extra_forbidden":
        return "is not a field of this object"
    return details["msg"].removeprefix("Value error, ")


def request_id(request: Request) -> str:
    """API Gateway's, which is also in the answer's header x-amzn-RequestId or x-amz-apigw-id."""
    return str(request.context.get("requestId", "unknown"))


def as_problem(request: Any, get_response: Callable[[Any], Response]) -> Response:  # noqa: ANN401  (Chalice's own type)
    """Middleware: what Chalice answers by itself (404, 405, 415, 500) becomes a problem too."""
    response = get_response(request)
    headers = {name.lower(): value for name, value in (response.headers or {}).items()}
    if response.status_code < 400 or headers.get("content-type") == PROBLEM:  # noqa: PLR2004
        return response
    body = response.body if isinstance(response.body, dict) else {}
    title = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(body.get("Code", "Failed")).removesuffix("Error")).capitalize()
    if response.status_code >= 500:  # noqa: PLR2004
        telling.measures().add(Measure.FAILURES, of="api")
        telling.measures().flush()
        words = f"Something failed on our side. The log has it under the request's id, {request_id(request)}."
        return problem(response.status_code, "Failed", words)
    return problem(response.status_code, title, str(body.get("Message", "")))
