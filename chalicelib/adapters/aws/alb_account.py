"""What the account has of what an ALB names: certificates, zones, other ALBs, routes, quotas. Read only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws.alb_tags import elb
from chalicelib.adapters.aws.albs import describe, seen
from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.domain.alb_seen import Quotas, SeenCertificate, SeenZone
from chalicelib.domain.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chalicelib.domain.alb_seen import SeenAlb


class AwsAlbAccount:
    """Implements AlbAccount."""

    def certificate(self, arn: str) -> SeenCertificate | None:
        acm: Any = client("acm", arn.split(":")[3])
        try:
            with translated():
                found = acm.describe_certificate(CertificateArn=arn)["Certificate"]
        except CloudError as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise
        names = dict.fromkeys((found.get("DomainName", ""), *found.get("SubjectAlternativeNames", ())))
        return SeenCertificate(found.get("Status", ""), tuple(name for name in names if name), found.get("NotAfter"))

    def zone(self, zone_id: str) -> SeenZone | None:
        route53: Any = client("route53", "us-east-1")
        try:
            with translated():
                answer = route53.get_hosted_zone(Id=zone_id)
        except CloudError as error:
            if error.code == "NoSuchHostedZone":
                return None
            raise
        zone = answer["HostedZone"]
        vpcs = frozenset(vpc.get("VPCId", "") for vpc in answer.get("VPCs", ()))
        return SeenZone(zone["Name"].rstrip("."), bool(zone.get("Config", {}).get("PrivateZone")), vpcs)

    def balancer(self, region: str, arn: str) -> SeenAlb | None:
        found = describe(region, {"LoadBalancerArns": [arn]})
        return None if found is None else seen(found)

    def public_subnets(self, region: str, vpc_id: str, ids: Sequence[str]) -> frozenset[str]:
        ec2: Any = client("ec2", region)
        with translated():
            pages = ec2.get_paginator("describe_route_tables").paginate(
                Filters=[{"Name": "vpc-id", "Values": [vpc_id]}]
            )
            tables = [table for page in pages for table in page["RouteTables"]]
        main, named = False, {}
        for table in tables:
            public = _leads_out(table)
            for association in table.get("Associations", ()):
                if association.get("Main"):
                    main = public
                elif "SubnetId" in association:
                    named[association["SubnetId"]] = public
        # A subnet without a table of its own has the VPC's main one.
        # https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html
        return frozenset(id_ for id_ in ids if named.get(id_, main))

    def quotas(self, region: str) -> Quotas:
        with translated():
            limits = elb(region).describe_account_limits()["Limits"]
        found = {limit["Name"]: int(limit["Max"]) for limit in limits}
        usual = Quotas()
        return Quotas(
            found.get("rules-per-application-load-balancer", usual.rules),
            found.get("target-groups-per-application-load-balancer", usual.target_groups),
        )


def _leads_out(table: Mapping[str, Any]) -> bool:
    return any(
        str(route.get("GatewayId", "")).startswith("igw-") and route.get("State", "active") == "active"
        for route in table.get("Routes", ())
    )
