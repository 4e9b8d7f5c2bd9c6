"""Target groups: one for the instances of each rule, by address, and one for the warm-up function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws.alb_tags import RULE_TAG, elb, owner, tags, tags_of
from chalicelib.adapters.aws.errors import passed_over, translated
from chalicelib.domain.alb_seen import Probe, SeenGroup
from chalicelib.domain.albs import group_name
from chalicelib.domain.errors import CloudError, NotYetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chalicelib.domain.alb_wanted import WantedGroup
    from chalicelib.domain.load_balancers import LoadBalancer

HEALTHY = 2
"""Checks in a row that must pass before traffic is let in; the fewest there can be."""

MULTI_VALUE = "lambda.multi_value_headers.enabled"
_MISSING = frozenset({"TargetGroupNotFound"})


class AwsTargetGroups:
    """Implements TargetGroups."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def find(self, balancer: LoadBalancer) -> Sequence[SeenGroup]:
        region = balancer.region
        with translated():
            pages = elb(region).get_paginator("describe_target_groups").paginate()
            found = [one for page in pages for one in page["TargetGroups"] if one["TargetGroupName"].startswith("as-")]
        tagged = tags_of(region, [one["TargetGroupArn"] for one in found])
        ours = [one for one in found if owner(self._stage, tagged.get(one["TargetGroupArn"], {})) == balancer.id]
        return [self._seen(region, one, tagged[one["TargetGroupArn"]]) for one in ours]

    def create(self, balancer: LoadBalancer, group: WantedGroup | None) -> None:
        settings: dict[str, Any] = {"TargetType": "lambda", "HealthCheckEnabled": False}
        if group is not None:
            settings = {
                "TargetType": "ip",
                "Protocol": group.protocol,
                "Port": group.port,
                "VpcId": balancer.vpc_id,
                "HealthyThresholdCount": HEALTHY,
                "UnhealthyThresholdCount": HEALTHY,
                **_check(group.probe),
            }
        with translated():
            elb(balancer.region).create_target_group(
                Name=group_name(group.rule_id if group else balancer.id),
                Tags=tags(self._stage, balancer, group.rule_id if group else None),
                **settings,
            )

    def probe(self, balancer: LoadBalancer, arn: str, probe: Probe) -> None:
        with translated():
            elb(balancer.region).modify_target_group(TargetGroupArn=arn, **_check(probe))

    def set_multi_value(self, balancer: LoadBalancer, arn: str) -> None:
        attributes = [{"Key": MULTI_VALUE, "Value": "true"}]
        with translated():
            elb(balancer.region).modify_target_group_attributes(TargetGroupArn=arn, Attributes=attributes)

    def register(self, balancer: LoadBalancer, arn: str, targets: Sequence[tuple[str, int | None]]) -> None:
        with translated():
            elb(balancer.region).register_targets(TargetGroupArn=arn, Targets=_targets(targets))

    def deregister(self, balancer: LoadBalancer, arn: str, targets: Sequence[tuple[str, int | None]]) -> None:
        with passed_over(_MISSING | {"InvalidTarget"}):
            elb(balancer.region).deregister_targets(TargetGroupArn=arn, Targets=_targets(targets))

    def delete(self, balancer: LoadBalancer, arn: str) -> None:
        try:
            with passed_over(_MISSING):
                elb(balancer.region).delete_target_group(TargetGroupArn=arn)
        except CloudError as error:
            if error.code == "ResourceInUse":
                raise NotYetError(error.code, error.message) from error
            raise

    def _seen(self, region: str, group: Mapping[str, Any], tagged: Mapping[str, str]) -> SeenGroup:
        arn = group["TargetGroupArn"]
        with translated():
            answer = elb(region).describe_target_health(TargetGroupArn=arn)
        targets = frozenset(
            (one["Target"]["Id"], None if port is None or function else int(port))
            for one in answer["TargetHealthDescriptions"]
            if one.get("TargetHealth", {}).get("State") != "draining"
            for port in [one["Target"].get("Port")]
            for function in [group.get("TargetType") == "lambda"]
        )
        probe = None
        if group.get("TargetType") != "lambda":
            probe = Probe(
                group.get("HealthCheckProtocol", ""),
                str(group.get("HealthCheckPort", "")),
                group.get("HealthCheckPath", ""),
                group.get("Matcher", {}).get("HttpCode", ""),
                int(group.get("HealthCheckIntervalSeconds", 0)),
                int(group.get("HealthCheckTimeoutSeconds", 0)),
            )
        protocol, rule_id = group.get("Protocol") or "LAMBDA", tagged.get(RULE_TAG)
        several = probe is None and self._is_multi_value(region, arn)
        return SeenGroup(arn, group["TargetGroupName"], protocol, probe, targets, rule_id, several)

    @staticmethod
    def _is_multi_value(region: str, arn: str) -> bool:
        with translated():
            answer = elb(region).describe_target_group_attributes(TargetGroupArn=arn)
        return {"Key": MULTI_VALUE, "Value": "true"} in answer["Attributes"]


def _check(probe: Probe) -> dict[str, Any]:
    return {
        "HealthCheckProtocol": probe.protocol,
        "HealthCheckPort": probe.port,
        "HealthCheckPath": probe.path,
        "HealthCheckIntervalSeconds": probe.interval,
        "HealthCheckTimeoutSeconds": probe.timeout,
        "Matcher": {"HttpCode": probe.matcher},
    }


def _targets(targets: Sequence[tuple[str, int | None]]) -> list[dict[str, Any]]:
    return [{"Id": id_} if port is None else {"Id": id_, "Port": port} for id_, port in targets]
