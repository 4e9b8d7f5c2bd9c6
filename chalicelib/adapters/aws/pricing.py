"""On-demand prices from the AWS Price List API."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.adapters.aws.pricing_mapping import cost_of, query_for
from chalicelib.domain.costs import UnknownCost

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.adapters.aws.pricing_mapping import Query
    from chalicelib.domain.costs import HourlyCost
    from chalicelib.domain.products import Product
    from chalicelib.ports import Clock

REGION = "us-east-1"
"""Where it is asked about every Region: it is also in eu-central-1 and ap-south-1, and nowhere else.

https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
"""

KEPT = timedelta(hours=24)
"""For how long an answer is believed. Prices change rarely, and are announced before."""

PAGE = 100
"""Products a page has at most. https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html"""

MOST_PAGES = 10
"""The question names one product: an answer of a thousand was to another question, and nothing of it is believed."""


class PriceCache(Protocol):
    """Answers by `Query.key`, forgotten when they are `KEPT` old. A table of a store can stand in for it."""

    def get(self, key: str) -> HourlyCost | None:
        """What was put under this key, None if nothing was or it is too old."""
        ...

    def put(self, key: str, cost: HourlyCost) -> None:
        """Keep it from now on."""
        ...


class ProcessCache:
    """Implements PriceCache for the life of a process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: dict[str, tuple[datetime, HourlyCost]] = {}

    def get(self, key: str) -> HourlyCost | None:
        at, cost = self._answers.get(key, (None, None))
        return cost if at is not None and self._clock.now() - at < KEPT else None

    def put(self, key: str, cost: HourlyCost) -> None:
        self._answers[key] = (self._clock.now(), cost)


class AwsPrices:
    """Implements Prices. What is not known today is not asked for again before tomorrow either."""

    def __init__(self, cache: PriceCache) -> None:
        self._cache = cache

    def hourly(self, product: Product) -> HourlyCost:
        query = query_for(product)
        if isinstance(query, UnknownCost):
            return query
        cost = self._cache.get(query.key)
        if cost is None:
            cost = cost_of(query, _products(query))
            self._cache.put(query.key, cost)
        return cost


def _products(query: Query) -> list[object]:
    """Every product that AWS finds, each as it was sent: nothing of it is trusted yet."""
    wanted = {**query.attributes, "termType": "OnDemand"}
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    found: list[object] = []
    more: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        with translated():
            answer = client("pricing", REGION).get_products(
                ServiceCode=query.service, Filters=filters, FormatVersion="aws_v1", MaxResults=PAGE, **more
            )
        found += answer.get("PriceList", [])
        if not answer.get("NextToken"):
            return found
        more = {"NextToken": answer["NextToken"]}
    return []
