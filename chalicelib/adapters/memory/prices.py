"""A price list in memory, with failures on order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from chalicelib.domain.costs import UnknownCost

if TYPE_CHECKING:
    from chalicelib.domain.costs import HourlyCost
    from chalicelib.domain.errors import CloudError
    from chalicelib.domain.products import Product


class MemoryPrices:
    """`ports.Prices`. What is not in `costs` has no price; `fail_next` holds errors of calls to come."""

    def __init__(self) -> None:
        self.costs: dict[Product, HourlyCost] = {}
        self.fail_next: deque[CloudError] = deque()

    def hourly(self, product: Product) -> HourlyCost:
        if self.fail_next:
            raise self.fail_next.popleft()
        return self.costs.get(product, UnknownCost(f"The price list has no {product}."))
