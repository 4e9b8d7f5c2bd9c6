"""The AWS Price List API as a server of our own on this machine.

moto has no `pricing`. So boto3 talks HTTP to this: the JSON protocol of the service model in botocore, the items as
the API Reference and the price list files document them, filters and pages as documented. Beside each product
stand the neighbours that the real list has and that a careless question would find as well.
"""

from __future__ import annotations

import json
import threading
import zlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

EC2 = {
    "servicecode": "AmazonEC2",
    "location": "EU (Frankfurt)",
    "locationType": "AWS Region",
    "regionCode": "eu-central-1",
    "instanceType": "t3.micro",
    "currentGeneration": "Yes",
    "instanceFamily": "General purpose",
    "vcpu": "2",
    "memory": "1 GiB",
    "storage": "EBS only",
    "tenancy": "Shared",
    "operatingSystem": "Linux",
    "licenseModel": "No License required",
    "usagetype": "EUC1-BoxUsage:t3.micro",
    "operation": "RunInstances",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "preInstalledSw": "NA",
}

EC2_NEIGHBOURS: list[dict[str, str]] = [
    {"regionCode": "eu-west-1"},
    {"instanceType": "t3.small"},
    {"tenancy": "Host"},
    {"tenancy": "Dedicated"},
    {"capacitystatus": "AllocatedCapacityReservation"},
    {"capacitystatus": "UnusedCapacityReservation"},
    {"preInstalledSw": "SQL Std", "operation": "RunInstances:0004"},
    {"operatingSystem": "Windows", "operation": "RunInstances:0800", "licenseModel": "Bring your own license"},
    {"operatingSystem": "Windows", "operation": "RunInstances:0002:box", "licenseModel": "License Included"},
    {"locationType": "AWS Outposts"},
]

RDS = {
    "servicecode": "AmazonRDS",
    "location": "EU (Frankfurt)",
    "locationType": "AWS Region",
    "regionCode": "eu-central-1",
    "instanceType": "db.t4g.micro",
    "storage": "EBS Only",
    "databaseEngine": "PostgreSQL",
    "licenseModel": "No license required",
    "deploymentOption": "Single-AZ",
    "usagetype": "EUC1-InstanceUsage:db.t4g.micro",
    "operation": "CreateDBInstance:0014",
}

RDS_NEIGHBOURS: list[dict[str, str]] = [
    {"regionCode": "eu-west-1"},
    {"databaseEngine": "MySQL"},
    {"deploymentOption": "Multi-AZ"},
    {"deploymentOption": "Multi-AZ (readable standbys)"},
    {"storage": "Aurora IO Optimization Mode"},
    {"deploymentModel": "Custom"},
    {"engineMediaType": "Customer-provided"},
    {"locationType": "AWS Outposts"},
]

ALB = {
    "servicecode": "AWSELB",
    "location": "EU (Frankfurt)",
    "locationType": "AWS Region",
    "regionCode": "eu-central-1",
    "usagetype": "EUC1-LoadBalancerUsage",
    "operation": "LoadBalancing:Application",
}

ALB_NEIGHBOURS: list[dict[str, str]] = [
    {"regionCode": "eu-west-1"},
    {"operation": "LoadBalancing:Network"},
    {"operation": "LoadBalancing"},
    {"locationType": "AWS Outposts"},
]

RDS_WITH_EDITIONS_NEIGHBOURS: list[dict[str, str]] = [
    {"databaseEdition": "Enterprise"},
    {"licenseModel": "Marketplace"},
]


def item(attributes: dict[str, str], usd: str, unit: str = "Hrs") -> dict[str, Any]:
    """A product with one offer on demand and one reserved, as GetProducts answers it (there as a JSON text)."""
    sku = f"SKU{zlib.crc32(json.dumps([attributes, usd]).encode()):013d}"

    def term(code: str, price: str, per: str) -> dict[str, Any]:
        rate = {"rateCode": f"{sku}.{code}.6YS6EN2CT7", "unit": per, "pricePerUnit": {"USD": price}, "appliesTo": []}
        offer = {"sku": sku, "offerTermCode": code, "effectiveDate": "2026-01-01T00:00:00Z", "termAttributes": {}}
        return {f"{sku}.{code}": offer | {"priceDimensions": {rate["rateCode"]: rate}}}

    return {
        "product": {"sku": sku, "productFamily": "Compute Instance", "attributes": dict(attributes)},
        "serviceCode": attributes["servicecode"],
        "terms": {"OnDemand": term("JRTCKXETXF", usd, unit), "Reserved": term("4NA7Y494T4", "0.0001", "Hrs")},
        "version": "20260101000000",
        "publicationDate": "2026-01-01T00:00:00Z",
    }


class PriceList:
    """What the server has. `fail_next`, an error's code and message, is the answer to the next question only."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.fail_next: tuple[str, str] | None = None
        self.page = 100

    def add(self, attributes: dict[str, str], usd: str) -> None:
        """A product, and its neighbours at prices of their own."""
        of_service = {"AmazonEC2": EC2_NEIGHBOURS, "AmazonRDS": RDS_NEIGHBOURS, "AWSELB": ALB_NEIGHBOURS}
        neighbours = of_service[attributes["servicecode"]]
        if "databaseEdition" in attributes:
            neighbours = neighbours + RDS_WITH_EDITIONS_NEIGHBOURS
        for n, change in enumerate(neighbours):
            if any(attributes.get(name) != value for name, value in change.items()):
                self.items.append(item(attributes | change, f"{90 + n}.0000000000"))
        self.items.append(item(attributes, usd))

    def get_products(self, request: dict[str, Any]) -> dict[str, Any]:
        """GetProducts: an item is found if it matches all filters."""
        self.asked.append(request)
        found = [i for i in self.items if i["serviceCode"] == request["ServiceCode"]]
        for wanted in request.get("Filters", []):
            assert wanted["Type"] == "TERM_MATCH"
            found = [i for i in found if self._matches(i, wanted["Field"], wanted["Value"])]
        start = int(request.get("NextToken", 0))
        end = start + min(self.page, request["MaxResults"])
        page = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(i) for i in found[start:end]]}
        return page | ({"NextToken": str(end)} if end < len(found) else {})

    @staticmethod
    def _matches(found: dict[str, Any], field: str, value: str) -> bool:
        if field == "termType":
            return value in found["terms"]
        return bool(found["product"]["attributes"].get(field, "").lower() == value.lower())


@contextmanager
def serve(prices: PriceList) -> Iterator[str]:
    """The URL at which it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["X-Amz-Target"] == "AWSPriceListService.GetProducts"
            failure, prices.fail_next = prices.fail_next, None
            if failure:
                self._send(400, {"__type": failure[0], "message": failure[1]})
            else:
                self._send(200, prices.get_products(request))

        def _send(self, status: int, answer: dict[str, Any]) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
