"""What an ALB refuses before its function sees it, and so cannot wake a rule. Pure.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.domain.albs import covers
from chalicelib.domain.load_balancers import LoadBalancerKind
from chalicelib.domain.routes import Ignore

if TYPE_CHECKING:
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.rules import RuleSpec

_USE_A_PROXY = "Rules that need it use a proxy."
_COUNTED = (
    "Requests that it ignores do not wake it, but keep it up: an ALB counts them as it counts others. The access log "
    "tells them apart: see access_logs of its load balancer."
)
_WARNINGS = (
    "While it is down the ALB itself answers WebSocket upgrades with 400: they do not wake it. " + _USE_A_PROXY,
    "While it is down the ALB itself refuses bodies over 1 MB: they do not wake it. " + _USE_A_PROXY,
)


def warnings_of(spec: RuleSpec, balancer: LoadBalancer) -> tuple[str, ...]:
    """For a rule with HTTP routes on an ALB; none for others."""
    if balancer.kind is not LoadBalancerKind.ALB or balancer.alb is None:
        return ()
    domain = balancer.alb.domain
    beside = sorted({host for route in spec.http for host in route.hosts if not covers(domain, host)})
    names = [f"{host} is not one of {domain}: its DNS record and its certificate are yours to make." for host in beside]
    if spec.ignore != Ignore() and balancer.alb.access_logs is None:
        names.append(_COUNTED)
    forwards = any(route.action == "forward" for route in spec.http)
    return (*names, *(_WARNINGS if forwards else ()))
