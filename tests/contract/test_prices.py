"""What the port promises of prices: in memory, and on the AWS adapter that talks HTTP to a price list of our own."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

import pytest

from chalicelib.adapters.aws.clients import forget
from chalicelib.adapters.aws.pricing import AwsPrices, ProcessCache
from chalicelib.adapters.memory.prices import MemoryPrices
from chalicelib.domain.costs import UnknownCost
from chalicelib.domain.errors import CloudError
from chalicelib.domain.products import AlbProduct
from chalicelib.ports import Deployment, Ec2Product, RdsProduct
from tests.contract.price_list import ALB, EC2, RDS, PriceList, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.adapters.memory.clock import VirtualClock
    from chalicelib.ports import Prices, Product

LINUX = Ec2Product("eu-central-1", "t3.micro")
POSTGRES = RdsProduct("eu-central-1", "db.t4g.micro", "postgres", "postgresql-license")
ORACLE = replace(POSTGRES, engine="oracle-se2", license_model="bring-your-own-license")
AURORA = replace(POSTGRES, engine="aurora-postgresql", license_model="")

# How the price list words each of them: written down once more, so that a slip in the adapter is seen.
WORDED: dict[Product, dict[str, str]] = {
    LINUX: EC2,
    replace(LINUX, tenancy="dedicated"): EC2 | {"tenancy": "Dedicated"},
    replace(LINUX, platform="Windows"): EC2 | {"operatingSystem": "Windows", "operation": "RunInstances:0002"},
    replace(LINUX, platform="Windows BYOL"): EC2
    | {"operatingSystem": "Windows", "operation": "RunInstances:0800", "licenseModel": "Bring your own license"},
    replace(LINUX, platform="Red Hat Enterprise Linux"): EC2
    | {"operatingSystem": "RHEL", "operation": "RunInstances:0010"},
    replace(LINUX, platform="SUSE Linux"): EC2 | {"operatingSystem": "SUSE", "operation": "RunInstances:000g"},
    replace(LINUX, platform="Windows with SQL Server Standard"): EC2
    | {"operatingSystem": "Windows", "preInstalledSw": "SQL Std", "operation": "RunInstances:0006"},
    AlbProduct("eu-central-1"): ALB,
    POSTGRES: RDS,
    replace(POSTGRES, deployment=Deployment.MULTI_AZ): RDS | {"deploymentOption": "Multi-AZ"},
    replace(POSTGRES, deployment=Deployment.MULTI_AZ_CLUSTER): RDS
    | {"deploymentOption": "Multi-AZ (readable standbys)"},
    replace(POSTGRES, engine="mysql", license_model="general-public-license"): RDS | {"databaseEngine": "MySQL"},
    AURORA: RDS | {"databaseEngine": "Aurora PostgreSQL"},
    replace(AURORA, deployment=Deployment.MULTI_AZ): RDS | {"databaseEngine": "Aurora PostgreSQL"},
    replace(AURORA, io_optimized=True): RDS
    | {"databaseEngine": "Aurora PostgreSQL", "storage": "Aurora IO Optimization Mode"},
    ORACLE: RDS
    | {"databaseEngine": "Oracle", "databaseEdition": "Standard Two", "licenseModel": "Bring your own license"},
    replace(ORACLE, engine="sqlserver-se", license_model="license-included", deployment=Deployment.MULTI_AZ): RDS
    | {
        "databaseEngine": "SQL Server",
        "databaseEdition": "Standard",
        "licenseModel": "License included",
        "deploymentOption": "Multi-AZ (SQL Server Mirror)",
    },
}


class PriceListed(Protocol):
    """The port, and what a test does to the world behind it."""

    prices: Prices

    def offer(self, product: Product, usd: str) -> None: ...

    def fail_next(self, code: str) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.prices = self._memory = MemoryPrices()

    def offer(self, product: Product, usd: str) -> None:
        self._memory.costs[product] = Decimal(usd)

    def fail_next(self, code: str) -> None:
        self._memory.fail_next.append(CloudError(code, "words of AWS"))


class OnAws:
    def __init__(self, listed: PriceList, clock: VirtualClock) -> None:
        self.listed = listed
        self.prices = AwsPrices(ProcessCache(clock))

    def offer(self, product: Product, usd: str) -> None:
        self.listed.add(WORDED[product], usd)

    def fail_next(self, code: str) -> None:
        self.listed.fail_next = (code, "words of AWS")


@pytest.fixture
def on_aws(monkeypatch: pytest.MonkeyPatch, clock: VirtualClock) -> Iterator[OnAws]:
    listed = PriceList()
    with serve(listed) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", url)
        forget()
        yield OnAws(listed, clock)
        forget()


@pytest.fixture(params=["memory", "aws"])
def world(request: pytest.FixtureRequest) -> PriceListed:
    found: PriceListed = InMemory() if request.param == "memory" else request.getfixturevalue("on_aws")
    return found


@pytest.mark.parametrize("product", WORDED, ids=str)
def test_a_product_has_the_price_that_is_listed_for_it_and_not_that_of_its_neighbours(world, product):
    world.offer(product, "0.0104000000")
    assert world.prices.hourly(product) == Decimal("0.0104")


def test_the_price_is_exact(world):
    world.offer(LINUX, "0.1234567891")
    assert world.prices.hourly(LINUX) == Decimal("0.1234567891")


@pytest.mark.parametrize(
    "product",
    [
        replace(LINUX, instance_type="x1.none"),
        replace(LINUX, region="cn-north-1"),
        replace(LINUX, region="us-gov-west-1"),
        replace(LINUX, spot=True),
        replace(LINUX, tenancy="host"),
        replace(LINUX, platform="Windows with something new"),
        replace(POSTGRES, instance_class="db.serverless"),
        replace(POSTGRES, engine="custom-oracle-ee"),
        replace(ORACLE, license_model="bring-your-own-media"),
        replace(ORACLE, region="cn-northwest-1"),
    ],
    ids=str,
)
def test_a_price_that_there_is_not_is_unknown_in_words_and_never_zero(world, product):
    for other in (LINUX, POSTGRES, ORACLE):
        world.offer(other, "0.0104000000")
    cost = world.prices.hourly(product)
    assert isinstance(cost, UnknownCost)
    assert cost.reason.endswith(".")


def test_a_refusal_is_raised_in_our_words_and_not_remembered(world):
    world.offer(LINUX, "0.0104000000")
    world.fail_next("AccessDeniedException")
    with pytest.raises(CloudError) as caught:
        world.prices.hourly(LINUX)
    assert caught.value.code == "AccessDeniedException"
    assert world.prices.hourly(LINUX) == Decimal("0.0104")


def test_all_pages_are_read_before_a_price_is_believed(on_aws):
    on_aws.listed.page = 1
    on_aws.offer(LINUX, "0.0104000000")
    on_aws.offer(LINUX, "0.0116000000")
    cost = on_aws.prices.hourly(LINUX)
    assert isinstance(cost, UnknownCost)
    assert "$0.0104, $0.0116" in cost.reason
