"""The wildcard of an ALB in Route 53, as an alias.

https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-choosing-alias-non-alias.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated

if TYPE_CHECKING:
    from collections.abc import Mapping


class Route53Records:
    """Implements DnsRecords."""

    def find(self, zone_id: str, name: str) -> str | None:
        found = _record(zone_id, name)
        if found is None:
            return None
        alias = found.get("AliasTarget", {}).get("DNSName")
        return alias or ", ".join(one["Value"] for one in found.get("ResourceRecords", ()))

    def put(self, zone_id: str, name: str, alb: tuple[str, str], *, over: bool) -> None:
        dns_name, alb_zone = alb
        target = {"HostedZoneId": alb_zone, "DNSName": dns_name, "EvaluateTargetHealth": False}
        _change(zone_id, "UPSERT" if over else "CREATE", {"Name": name, "Type": "A", "AliasTarget": target})

    def delete(self, zone_id: str, name: str, alb: tuple[str, str]) -> None:
        found = _record(zone_id, name)
        alias = "" if found is None else str(found.get("AliasTarget", {}).get("DNSName", ""))
        if found is not None and alias.lower().rstrip(".").removeprefix("dualstack.") == alb[0].lower():
            _change(zone_id, "DELETE", found)


def _record(zone_id: str, name: str) -> Mapping[str, Any] | None:
    with translated():
        answer = _route53().list_resource_record_sets(
            HostedZoneId=zone_id, StartRecordName=name, StartRecordType="A", MaxItems="1"
        )
    # Route 53 writes a * as \052, and the last dot.
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html
    return next(
        (
            one
            for one in answer["ResourceRecordSets"]
            if one["Type"] == "A" and one["Name"].replace("\\052", "*").rstrip(".").lower() == name.lower()
        ),
        None,
    )


def _change(zone_id: str, action: str, record: Mapping[str, Any]) -> None:
    with translated():
        changes = {"Comment": "AutoStop", "Changes": [{"Action": action, "ResourceRecordSet": record}]}
        _route53().change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch=changes)


def _route53() -> Any:  # noqa: ANN401  (boto3-stubs for Route 53 are not among what we install)
    return client("route53", "us-east-1")
