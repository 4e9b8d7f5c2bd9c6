"""How the price list names what we know by the words of EC2 and RDS, and what it answers. Pure: no call is made here.

https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from chalicelib.domain.costs import UnknownCost
from chalicelib.domain.products import AlbProduct, Deployment, Ec2Product, RdsProduct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from chalicelib.domain.costs import HourlyCost
    from chalicelib.domain.products import Product

# The price list of the commercial partition cannot be asked from the others, and has nothing of most of them.
# https://docs.aws.amazon.com/general/latest/gr/billing.html
_OTHER_PARTITIONS = ("cn-", "us-gov-", "us-iso", "eu-isoe-", "eusc-")

# PlatformDetails → operatingSystem, preInstalledSw and operation. Only the operation tells Windows with its licence
# from Windows without it: both have no software installed. The numbers are UsageOperation in EC2's own table, whose
# footnote 3 says that Red Hat BYOL is billed as Linux.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-info-fields.html
_PLATFORMS = {
    "Linux/UNIX": ("Linux", "NA", "RunInstances"),
    "Red Hat BYOL Linux": ("Linux", "NA", "RunInstances"),
    "Red Hat Enterprise Linux": ("RHEL", "NA", "RunInstances:0010"),
    "Red Hat Enterprise Linux with HA": ("Red Hat Enterprise Linux with HA", "NA", "RunInstances:1010"),
    "SUSE Linux": ("SUSE", "NA", "RunInstances:000g"),
    "Ubuntu Pro": ("Ubuntu Pro", "NA", "RunInstances:0g00"),
    "Ubuntu Pro Linux": ("Ubuntu Pro", "NA", "RunInstances:0g00"),
    "Windows": ("Windows", "NA", "RunInstances:0002"),
    "Windows BYOL": ("Windows", "NA", "RunInstances:0800"),
    "SQL Server Standard": ("Linux", "SQL Std", "RunInstances:0004"),
    "SQL Server Web": ("Linux", "SQL Web", "RunInstances:0200"),
    "SQL Server Enterprise": ("Linux", "SQL Ent", "RunInstances:0100"),
    "Windows with SQL Server Standard": ("Windows", "SQL Std", "RunInstances:0006"),
    "Windows with SQL Server Web": ("Windows", "SQL Web", "RunInstances:0202"),
    "Windows with SQL Server Enterprise": ("Windows", "SQL Ent", "RunInstances:0102"),
}

_TENANCIES = {"default": "Shared", "dedicated": "Dedicated"}

# Engine of CreateDBInstance → databaseEngine, and databaseEdition where there is a choice.
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
_ENGINES = {
    "mysql": ("MySQL", None),
    "mariadb": ("MariaDB", None),
    "postgres": ("PostgreSQL", None),
    "aurora-mysql": ("Aurora MySQL", None),
    "aurora-postgresql": ("Aurora PostgreSQL", None),
    "oracle-ee": ("Oracle", "Enterprise"),
    "oracle-ee-cdb": ("Oracle", "Enterprise"),
    "oracle-se2": ("Oracle", "Standard Two"),
    "oracle-se2-cdb": ("Oracle", "Standard Two"),
    "sqlserver-ex": ("SQL Server", "Express"),
    "sqlserver-web": ("SQL Server", "Web"),
    "sqlserver-se": ("SQL Server", "Standard"),
    "sqlserver-ee": ("SQL Server", "Enterprise"),
    "db2-se": ("Db2", "Standard"),
    "db2-ae": ("Db2", "Advanced"),
}

_LICENSES = {
    "license-included": "License included",
    "bring-your-own-license": "Bring your own license",
    "marketplace-license": "Marketplace",
}

_DEPLOYMENTS = {
    Deployment.SINGLE_AZ: "Single-AZ",
    Deployment.MULTI_AZ: "Multi-AZ",
    Deployment.MULTI_AZ_CLUSTER: "Multi-AZ (readable standbys)",
}

_AURORA_IO = "Aurora IO Optimization Mode"
_BY_THE_HOUR = frozenset({"hrs", "hours", "hour"})
_USD = re.compile(r"[0-9]{1,5}(\.[0-9]{1,12})?")


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask GetProducts for. A product with one of the `unwanted` attributes is another product."""

    service: str
    words: str
    attributes: Mapping[str, str]
    unwanted: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The same for the same question, whichever process asks it."""
        return "/".join((self.service, *(f"{name}={value}" for name, value in sorted(self.attributes.items()))))


def query_for(product: Product) -> Query | UnknownCost:
    """The question, or why there is no sense in asking."""
    if product.region.startswith(_OTHER_PARTITIONS):
        return UnknownCost(f"The AWS price list cannot be asked about {product.region}.")
    match product:
        case Ec2Product():
            return _ec2(product)
        case RdsProduct():
            return _rds(product)
        case AlbProduct(region):
            words = f"an Application Load Balancer in {region}"
            wanted = {"regionCode": region, "operation": "LoadBalancing:Application"}
            return Query("AWSELB", words, wanted, {"locationType": "AWS Outposts"})


def _ec2(product: Ec2Product) -> Query | UnknownCost:
    if product.spot:
        return UnknownCost("The price of a Spot instance changes all the time, and is not in the AWS price list.")
    if product.tenancy not in _TENANCIES:
        return UnknownCost(f"Tenancy {product.tenancy} is not paid by the hour of an instance.")
    if product.platform not in _PLATFORMS:
        return UnknownCost(f"How the AWS price list names the platform {product.platform!r} is not known.")
    system, software, operation = _PLATFORMS[product.platform]
    return Query(
        "AmazonEC2",
        f"{product.instance_type} ({product.platform}, tenancy {product.tenancy}) in {product.region}",
        {
            "instanceType": product.instance_type,
            "regionCode": product.region,
            "operatingSystem": system,
            "preInstalledSw": software,
            "operation": operation,
            "tenancy": _TENANCIES[product.tenancy],
            "capacitystatus": "Used",
        },
        {"locationType": "AWS Outposts"},
    )


def _rds(product: RdsProduct) -> Query | UnknownCost:
    if product.instance_class == "db.serverless":
        return UnknownCost("Aurora Serverless is paid by the capacity that it takes, not by the hour.")
    if product.engine not in _ENGINES:
        return UnknownCost(f"How the AWS price list names the engine {product.engine!r} is not known.")
    engine, edition = _ENGINES[product.engine]
    if edition and product.license_model not in _LICENSES:
        return UnknownCost(f"How the AWS price list names the licence {product.license_model!r} is not known.")
    attributes = {
        "instanceType": product.instance_class,
        "regionCode": product.region,
        "databaseEngine": engine,
        "deploymentOption": _deployment(product, engine),
        "licenseModel": _LICENSES[product.license_model] if edition else "No license required",
    }
    unwanted = {"locationType": "AWS Outposts", "deploymentModel": "Custom", "engineMediaType": "Customer-provided"}
    if edition:
        attributes["databaseEdition"] = edition
    if product.io_optimized:
        attributes["storage"] = _AURORA_IO
    else:
        unwanted["storage"] = _AURORA_IO
    words = f"{product.instance_class} ({product.engine}, {attributes['deploymentOption']}) in {product.region}"
    return Query("AmazonRDS", words, attributes, unwanted)


def _deployment(product: RdsProduct, engine: str) -> str:
    if engine.startswith("Aurora"):
        return _DEPLOYMENTS[Deployment.SINGLE_AZ]  # each of its instances has a price, and more of them make more zones
    if engine == "SQL Server" and product.deployment is Deployment.MULTI_AZ:
        return "Multi-AZ (SQL Server Mirror)"
    return _DEPLOYMENTS[product.deployment]


def cost_of(query: Query, answer: Iterable[object]) -> HourlyCost:
    """The one price in all that was answered; with none, or with several, there is no telling."""
    prices = sorted({price for item in answer for price in _prices(query, item)})
    if not prices:
        return UnknownCost(f"The AWS price list has no hourly price for {query.words}.")
    if len(prices) > 1:
        amounts = ", ".join(f"${price.normalize():f}" for price in prices)
        return UnknownCost(f"The AWS price list has more than one price for {query.words}: {amounts}.")
    return prices[0]


def _prices(query: Query, item: object) -> Iterator[Decimal]:
    """The on-demand prices by the hour in one item, a JSON text; whatever is not as documented has none."""
    try:
        parsed = json.loads(item) if isinstance(item, str) else None
    except (ValueError, RecursionError):
        return
    attributes = _member(_member(parsed, "product"), "attributes")
    if not _is(attributes, query):
        return
    for offer in _values(_member(_member(parsed, "terms"), "OnDemand")):
        for dimension in _values(_member(offer, "priceDimensions")):
            usd = _member(_member(dimension, "pricePerUnit"), "USD")
            by_the_hour = str(_member(dimension, "unit")).lower() in _BY_THE_HOUR
            # A price of zero stands for what is paid in another way, as by the host or by the reservation.
            if by_the_hour and isinstance(usd, str) and _USD.fullmatch(usd) and Decimal(usd):
                yield Decimal(usd)


def _is(attributes: object, query: Query) -> bool:
    wanted = all(_same(_member(attributes, name), value) for name, value in query.attributes.items())
    return wanted and not any(_same(_member(attributes, name), value) for name, value in query.unwanted.items())


def _same(found: object, value: str) -> bool:
    return isinstance(found, str) and found.casefold() == value.casefold()


def _member(parent: object, name: str) -> object:
    return parent.get(name) if isinstance(parent, dict) else None


def _values(parent: object) -> Iterable[object]:
    return parent.values() if isinstance(parent, dict) else ()
