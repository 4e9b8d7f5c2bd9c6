"""ALBs and their listeners.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/Welcome.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws.alb_actions import action_of, as_actions
from chalicelib.adapters.aws.alb_tags import elb, owner, tags, tags_of
from chalicelib.adapters.aws.errors import passed_over, translated
from chalicelib.domain.alb_seen import SeenAlb, SeenListener
from chalicelib.domain.albs import AccessLogs, group_name
from chalicelib.domain.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chalicelib.domain.alb_steps import PutListener
    from chalicelib.domain.load_balancers import LoadBalancer

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html"""

ENABLED, BUCKET, PREFIX = (f"access_logs.s3.{name}" for name in ("enabled", "bucket", "prefix"))
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html"""

_GONE = frozenset({"LoadBalancerNotFound"})


class AwsAlbs:
    """Implements Albs."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def find(self, balancer: LoadBalancer) -> SeenAlb | None:
        existing = balancer.alb.existing_arn if balancer.alb else None
        name = group_name(balancer.id)
        asked: dict[str, Any] = {"LoadBalancerArns": [existing]} if existing else {"Names": [name]}
        found = describe(balancer.region, asked)
        if found is None:
            return None
        arn = found["LoadBalancerArn"]
        ours = owner(self._stage, tags_of(balancer.region, [arn]).get(arn, {})) == balancer.id
        if existing is None and not ours:
            raise CloudError("DuplicateLoadBalancerName", f"{arn} has the name {name} and is not AutoStop's")
        return replace(seen(found, ours=ours), logs=_logs(balancer.region, arn))

    def create(self, balancer: LoadBalancer) -> None:
        settings = balancer.alb
        if settings is None:
            raise ValueError(f"{balancer.id} is no ALB")
        with translated():
            elb(balancer.region).create_load_balancer(
                Name=group_name(balancer.id),
                Type="application",
                Scheme=settings.scheme,
                Subnets=list(balancer.subnet_ids),
                SecurityGroups=list(balancer.security_group_ids),
                Tags=[*tags(self._stage, balancer), {"Key": "Name", "Value": f"autostop {balancer.name}"[:256]}],
            )

    def set_groups(self, balancer: LoadBalancer, arn: str) -> None:
        with translated():
            groups = list(balancer.security_group_ids)
            elb(balancer.region).set_security_groups(LoadBalancerArn=arn, SecurityGroups=groups)

    def set_logs(self, balancer: LoadBalancer, arn: str, logs: AccessLogs | None) -> None:
        wanted = {ENABLED: "false"}
        if logs is not None:
            wanted = {ENABLED: "true", BUCKET: logs.bucket, PREFIX: logs.prefix}
        attributes: list[Any] = [{"Key": key, "Value": value} for key, value in wanted.items()]
        with translated():
            elb(balancer.region).modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)

    def delete(self, balancer: LoadBalancer, arn: str) -> None:
        with passed_over(_GONE):
            elb(balancer.region).delete_load_balancer(LoadBalancerArn=arn)

    def listeners(self, region: str, alb_arn: str) -> Sequence[SeenListener]:
        with translated():
            pages = elb(region).get_paginator("describe_listeners").paginate(LoadBalancerArn=alb_arn)
            found = [one for page in pages for one in page["Listeners"]]
        web = [one for one in found if one.get("Protocol") in {"HTTP", "HTTPS"}]
        tagged = tags_of(region, [one["ListenerArn"] for one in web])
        return [
            SeenListener(
                one["ListenerArn"],
                int(one["Port"]),
                one["Protocol"].lower(),
                action_of(one.get("DefaultActions", ())),
                next((each["CertificateArn"] for each in one.get("Certificates", ())), None),
                ours=owner(self._stage, tagged.get(one["ListenerArn"], {})) is not None,
            )
            for one in web
        ]

    def put_listener(self, balancer: LoadBalancer, wanted: PutListener) -> None:
        settings: dict[str, Any] = {"Port": wanted.port, "Protocol": "HTTP"}
        settings["DefaultActions"] = as_actions(wanted.action)
        if wanted.certificate_arn is not None:
            settings |= {"Protocol": "HTTPS", "SslPolicy": TLS_POLICY}
            settings["Certificates"] = [{"CertificateArn": wanted.certificate_arn}]
        api = elb(balancer.region)
        with translated():
            if wanted.there is None:
                api.create_listener(LoadBalancerArn=wanted.alb_arn, Tags=tags(self._stage, balancer), **settings)
            else:
                api.modify_listener(ListenerArn=wanted.there.arn, **settings)

    def drop_listener(self, balancer: LoadBalancer, arn: str) -> None:
        with passed_over(frozenset({"ListenerNotFound"})):
            elb(balancer.region).delete_listener(ListenerArn=arn)


def _logs(region: str, arn: str) -> AccessLogs | None:
    with translated():
        answer = elb(region).describe_load_balancer_attributes(LoadBalancerArn=arn)
    said = {one.get("Key", ""): one.get("Value", "") for one in answer["Attributes"]}
    return AccessLogs(said.get(BUCKET, ""), said.get(PREFIX, "")) if said.get(ENABLED) == "true" else None


def describe(region: str, asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The one load balancer, None where there is none. Raises CloudError, ThrottledError."""
    try:
        with translated():
            answer = elb(region).describe_load_balancers(**asked)
    except CloudError as error:
        if error.code in _GONE:
            return None
        raise
    return next(iter(answer["LoadBalancers"]), None)


def seen(found: Mapping[str, Any], *, ours: bool = False) -> SeenAlb:
    """As we know it."""
    state = found.get("State", {})
    return SeenAlb(
        found["LoadBalancerArn"],
        found.get("DNSName", ""),
        found.get("CanonicalHostedZoneId", ""),
        found.get("Scheme", ""),
        found.get("VpcId", ""),
        found.get("Type", ""),
        state.get("Code", "active"),
        state.get("Reason"),
        frozenset(found.get("SecurityGroups", ())),
        ours,
    )
