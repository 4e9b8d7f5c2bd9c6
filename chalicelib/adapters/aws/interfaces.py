"""Network interfaces of instances.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html
"""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_address
from typing import TYPE_CHECKING

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.domain.flow_logs import Interface

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import NetworkInterfaceTypeDef

    from chalicelib.domain.resources import Place, ResourceRef

BATCH = 200
"""Values of a filter: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html."""


class Ec2Interfaces:
    """Implements Interfaces."""

    def of_instances(self, place: Place, refs: Sequence[ResourceRef]) -> Mapping[ResourceRef, tuple[Interface, ...]]:
        by_id = {ref.id: ref for ref in refs}
        found: dict[ResourceRef, list[Interface]] = defaultdict(list)
        ids = list(by_id)
        for start in range(0, len(ids), BATCH):
            for described in self._described(place, ids[start : start + BATCH]):
                owner = by_id.get(described.get("Attachment", {}).get("InstanceId", ""))
                if owner is not None and "NetworkInterfaceId" in described:
                    found[owner].append(Interface(described["NetworkInterfaceId"], tuple(_addresses(described))))
        return {ref: tuple(sorted(some, key=lambda one: one.id)) for ref, some in found.items()}

    @staticmethod
    def _described(place: Place, ids: list[str]) -> Iterator[NetworkInterfaceTypeDef]:
        ec2: EC2Client = client("ec2", place.region, place.connector)
        wanted = [{"Name": "attachment.instance-id", "Values": ids}]
        with translated():
            for page in ec2.get_paginator("describe_network_interfaces").paginate(Filters=wanted):  # type: ignore[arg-type]
                yield from page["NetworkInterfaces"]


def _addresses(described: NetworkInterfaceTypeDef) -> Iterator[str]:
    """As EC2 writes them and, of IPv6, in both ways in which a flow log can."""
    for one in described.get("PrivateIpAddresses", ()):
        if "PrivateIpAddress" in one:
            yield one["PrivateIpAddress"]
    for six in described.get("Ipv6Addresses", ()):
        if "Ipv6Address" in six:
            known = ip_address(six["Ipv6Address"])
            yield from dict.fromkeys((known.compressed, known.exploded))
