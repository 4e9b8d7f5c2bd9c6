"""What the API answers of an ALB."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from chalicelib import __version__
from chalicelib.domain.albs import cname
from chalicelib.entrypoints.api.views import Json, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chalicelib.domain.alb_seen import SeenFunction
    from chalicelib.domain.albs import AlbSettings
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.usecases.check_dns import DnsCheck


def alb_view(balancer: LoadBalancer, settings: AlbSettings, warnings: Sequence[str]) -> Json:
    """An ALB, in the shape in which people ask for it, and what stands of it. `cname`: the record to add by hand."""
    order = balancer.provision
    made = order.alb if order else None
    dns_name = made.dns_name if made else None
    return {
        "id": balancer.id,
        "kind": balancer.kind.value,
        "name": balancer.name,
        "region": balancer.region,
        "scheme": settings.scheme,
        "vpc_id": balancer.vpc_id,
        "subnet_ids": list(balancer.subnet_ids),
        "security_group_ids": list(balancer.security_group_ids),
        "certificate_arn": settings.certificate_arn,
        "domain": settings.domain,
        "hosted_zone_id": settings.hosted_zone_id,
        "existing_arn": settings.existing_arn,
        "theme": {
            "title": settings.theme.title,
            "logo_url": settings.theme.logo_url,
            "colour": settings.theme.colour,
            "text": settings.theme.text,
        },
        "access_logs": settings.access_logs and asdict(settings.access_logs),
        "status": balancer.status,
        "status_reason": order.reason if order else None,
        "arn": made.alb_arn if made else None,
        "dns_name": dns_name,
        "cname": _record(settings, dns_name),
        "listeners": [
            {"arn": one.arn, "port": one.port, "protocol": one.protocol} for one in (made.listeners if made else ())
        ],
        "warnings": list(warnings),
        "created_at": stamp(balancer.created_at),
        "updated_at": stamp(balancer.updated_at),
        "version": balancer.version,
    }


def _record(settings: AlbSettings, dns_name: str | None) -> Json | None:
    """None where the record is ours to make, or there is nothing yet to point it to."""
    if dns_name is None or settings.hosted_zone_id is not None:
        return None
    text = cname(settings, dns_name)
    return {"name": settings.domain, "type": "CNAME", "value": dns_name, "ttl": 300, "text": text}


def function_view(function: SeenFunction | None, ours: SeenFunction | None) -> Json | None:
    """The warm-up function as it runs. `ours`: this very function, of which we know the version.

    One deploy uploads one package for all functions, so that equal code is one version.
    """
    if function is None:
        return None
    same = ours is not None and function.code == ours.code
    return {
        "arn": function.arn,
        "version": __version__ if same else None,
        "code_sha256": function.code,
        "deployed_at": function.deployed_at,
    }


def rules_view(rules: Mapping[str, int]) -> Json:
    """How many listener rules each rule needs, and all."""
    return {"total": sum(rules.values()), "by_rule": dict(rules)}


def dns_view(check: DnsCheck) -> Json:
    """Whether names lead to it."""
    return {
        "ok": check.ok,
        "name": check.name,
        "addresses": list(check.addresses),
        "load_balancer_addresses": list(check.wanted),
        "words": check.words,
    }
