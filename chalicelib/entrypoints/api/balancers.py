"""Routes of load balancers, and what their proxies call."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chalice.app import Response

from chalicelib import __version__
from chalicelib.domain.access import Role
from chalicelib.domain.certificates import SecretReport
from chalicelib.domain.errors import Fault, InvalidInputError, NotFoundError
from chalicelib.domain.load_balancers import LoadBalancer, LoadBalancerKind
from chalicelib.entrypoints.api.alb_model import AlbBody
from chalicelib.entrypoints.api.alb_views import alb_view, dns_view, function_view, rules_view
from chalicelib.entrypoints.api.balancer_model import LoadBalancerBody
from chalicelib.entrypoints.api.install import own_url
from chalicelib.entrypoints.api.models import ReportBody, WakeBody
from chalicelib.entrypoints.api.routing import Call, Routes
from chalicelib.entrypoints.api.rules import with_etag
from chalicelib.entrypoints.api.views import Json, balancer_view, page_of, progress_view, with_members
from chalicelib.usecases.proxy_config import ProxyReport, RuleHealth
from chalicelib.usecases.warm_up import WakeCause

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.usecases.manage_load_balancers import CheckedBalancer
    from chalicelib.usecases.services import Services

routes = Routes(__name__)


def draft(body: LoadBalancerBody | AlbBody, now: datetime) -> LoadBalancer:
    """The load balancer that a body asks for. Raises InvalidInputError for what makes no sense."""
    if isinstance(body, AlbBody):
        return LoadBalancer(
            "",
            LoadBalancerKind.ALB,
            body.name,
            body.region,
            body.vpc_id,
            tuple(body.subnet_ids),
            tuple(body.security_group_ids),
            1,
            now,
            now,
            alb=body.settings(),
        )
    faults = []
    if body.existing and body.open_ports:
        faults.append(Fault("open_ports", "is for machines that AutoStop makes, and this one is yours"))
    if body.api_key_days is not None and (body.existing or body.api_key_secret_arn is not None):
        faults.append(Fault("api_key_days", "is for keys that AutoStop makes, and this proxy has one of yours"))
    first, last = body.port_range
    if first > last:
        faults.append(Fault("port_range", "must have the lower port first"))
    if faults:
        raise InvalidInputError(tuple(faults))
    return LoadBalancer(
        "",
        LoadBalancerKind.PROXY,
        body.name,
        body.region,
        body.vpc_id,
        tuple(body.subnet_ids),
        tuple(body.security_group_ids),
        1,
        now,
        now,
        body.machine_type,
        body.key_pair,
        body.encrypted_volume,
        body.static_ip,
        body.api_key_secret_arn,
        (first, last),
        body.existing,
        tuple(certificate.certificate() for certificate in body.certificates),
        body.open_ports,
        body.api_key_days,
        tuple(body.balancer_cidrs),
    )


def _view(balancer: LoadBalancer, services: Services) -> Json:
    warnings = services.manage_load_balancers.warnings(balancer)
    return balancer_view(balancer, warnings) if balancer.alb is None else alb_view(balancer, balancer.alb, warnings)


def _whole(checked: CheckedBalancer, services: Services) -> Json:
    """With what costs calls of its own: the agents of its proxies, or the function and the rules of an ALB."""
    balancer = checked.balancer
    if balancer.alb is None:
        return with_members(checked, services.proxy_config.members(balancer.id))
    check = services.check_albs()
    return alb_view(balancer, balancer.alb, checked.warnings) | {
        "function": function_view(check.deployed(balancer), check.itself(balancer)),
        "listener_rules": rules_view(check.listener_rules(balancer)),
    }


@routes.add("GET", "/load-balancers", Role.VIEWER, "List load balancers")
def list_balancers(call: Call[None]) -> Json:
    return page_of(
        call.services.manage_load_balancers.page(*call.page), lambda balancer: _view(balancer, call.services)
    )


@routes.add(
    "POST", "/load-balancers", Role.ADMIN, "Register a load balancer", body=LoadBalancerBody, alb=AlbBody, status=201
)
def create_balancer(call: Call[LoadBalancerBody | AlbBody]) -> Response:
    wanted = draft(call.body, call.services.clock.now())
    made = call.services.manage_load_balancers.create(
        wanted, call.by, lambda: own_url(call.request.context, "/load-balancers"), call.idempotency
    )
    return with_etag(with_members(made, ()) if made.balancer.alb is None else _whole(made, call.services), 201)


@routes.add("GET", "/load-balancers/{load_balancer_id}", Role.VIEWER, "Read a load balancer")
def get_balancer(call: Call[None], load_balancer_id: str) -> Response:
    checked = call.services.manage_load_balancers.get(load_balancer_id)
    return with_etag(_whole(checked, call.services))


@routes.add(
    "PUT",
    "/load-balancers/{load_balancer_id}",
    Role.ADMIN,
    "Replace a load balancer",
    body=LoadBalancerBody,
    alb=AlbBody,
)
def put_balancer(call: Call[LoadBalancerBody | AlbBody], load_balancer_id: str) -> Response:
    wanted = draft(call.body, call.services.clock.now())
    stored = call.services.manage_load_balancers.replace(load_balancer_id, wanted, call.by, call.version)
    return with_etag(_whole(stored, call.services))


@routes.add("DELETE", "/load-balancers/{load_balancer_id}", Role.ADMIN, "Delete a load balancer")
def delete_balancer(call: Call[None], load_balancer_id: str) -> Json:
    going = call.services.manage_load_balancers.delete(load_balancer_id, call.by, call.version)
    return {"id": load_balancer_id, "status": "deleted" if going is None else going.status}


@routes.add(
    "POST", "/load-balancers/{load_balancer_id}/renew-key", Role.ADMIN, "Renew the key that we made", status=202
)
def renew_key(call: Call[None], load_balancer_id: str) -> Json:
    return _view(call.services.manage_load_balancers.renew_key(load_balancer_id, call.by), call.services)


@routes.add("POST", "/load-balancers/{load_balancer_id}/check-dns", Role.OPERATOR, "Whether names lead to an ALB")
def check_dns(call: Call[None], load_balancer_id: str) -> Json:
    return dns_view(call.services.check_dns.of(load_balancer_id))


@routes.add(
    "GET", "/load-balancers/{load_balancer_id}/config", Role.PROXY, "What a proxy polls; 304 if unchanged", polls=True
)
def config(call: Call[None], load_balancer_id: str) -> Response:
    member = call.query("member")
    if member is not None and not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", member):
        raise InvalidInputError((Fault("member", "is not 1 to 64 letters, digits, dots, dashes or underscores"),))
    known = call.header("if-none-match")
    if call.polled is None:
        raise NotFoundError("load balancer", load_balancer_id)
    answer = call.services.proxy_config.poll(load_balancer_id, member, known, call.polled)
    headers: dict[str, str | list[str]] = {
        "Content-Type": "application/json",
        "Cache-Control": "no-cache",
        # Beside the configuration: a deploy of a new version changes no ETag, and a 304 tells it too.
        "AutoStop-Agent-Version": __version__,
    }
    if answer is None:
        return Response(None, headers | {"ETag": known or ""}, 304)
    return Response(answer.body, headers | {"ETag": answer.etag}, 200)


@routes.add(
    "POST", "/load-balancers/{load_balancer_id}/report", Role.PROXY, "What a proxy sees", body=ReportBody, status=204
)
def report(call: Call[ReportBody], load_balancer_id: str) -> None:
    body = call.body
    call.services.proxy_config.report(
        load_balancer_id,
        ProxyReport(
            body.member,
            body.config,
            body.applied.at if body.applied else None,
            tuple(body.rejected.errors) if body.rejected else (),
            tuple(RuleHealth(rule.id, rule.accepts, rule.at, rule.status) for rule in body.rules),
            None
            if body.secrets is None
            else tuple(SecretReport(told.arn, told.status, told.not_after, told.detail) for told in body.secrets),
            body.agent,
        ),
    )


@routes.add(
    "POST", "/load-balancers/{load_balancer_id}/warm-up", Role.PROXY, "Somebody is there", body=WakeBody, status=202
)
def wake(call: Call[WakeBody], load_balancer_id: str) -> Json:
    c = call.body.cause
    cause = WakeCause(c.kind, c.source, c.port, c.host, c.path)
    woken = call.services.warm_up.by_traffic(load_balancer_id, tuple(call.body.rule_ids), cause)
    return {"rules": [progress_view(progress) for progress in woken]}
