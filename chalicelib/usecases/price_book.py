"""What an hour of each thing costs, looked up once in the life of a book; what cannot be looked up says why."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from chalicelib.domain.costs import UnknownCost
from chalicelib.domain.errors import CloudError, NotFoundError
from chalicelib.domain.products import AlbProduct, Ec2Product, RdsProduct

if TYPE_CHECKING:
    from chalicelib.domain.costs import HourlyCost
    from chalicelib.domain.products import Product
    from chalicelib.ports import LoadBalancerRepository, Prices, ProxyStore


@dataclass(slots=True)
class PriceBook:
    """Implements `account_days.Costs`. `failed`: AWS could not be asked for one at least, and may answer later."""

    prices: Prices
    balancers: LoadBalancerRepository
    proxies: ProxyStore
    failed: bool = False
    _products: dict[Product, HourlyCost] = field(default_factory=dict)
    _proxies: dict[str, HourlyCost] = field(default_factory=dict)
    _rules_on: dict[str, int] = field(default_factory=dict)

    def of_product(self, product: Product) -> HourlyCost:
        """USD an hour on demand; AWS's words where it would not say."""
        if isinstance(product, RdsProduct) and product.instances > 1:
            each = self.of_product(replace(product, instances=1))
            return each if isinstance(each, UnknownCost) else each * product.instances
        if product not in self._products:
            try:
                self._products[product] = self.prices.hourly(product)
            except CloudError as error:
                self.failed = True
                self._products[product] = UnknownCost(f"AWS did not tell its price: {error}")
        return self._products[product]

    def of_proxy(self, load_balancer_id: str) -> HourlyCost:
        """USD an hour of the machines of a proxy, as many as are known now, at least one; or of an ALB that we made.

        Raises CloudError.
        """
        if load_balancer_id not in self._proxies:
            self._proxies[load_balancer_id] = self._proxy(load_balancer_id)
        return self._proxies[load_balancer_id]

    def rules_on(self, load_balancer_id: str) -> int:
        """How many rules are on it now. Raises CloudError."""
        if load_balancer_id not in self._rules_on:
            self._rules_on[load_balancer_id] = len(self.proxies.rules(load_balancer_id))
        return self._rules_on[load_balancer_id]

    def _proxy(self, load_balancer_id: str) -> HourlyCost:
        try:
            balancer = self.balancers.get(load_balancer_id)
        except NotFoundError:
            return UnknownCost("The load balancer is there no more, and nobody knows what it was.")
        if balancer.alb is not None:
            # One of the user's own is paid for with AutoStop or without.
            return Decimal(0) if balancer.alb.existing_arn else self.of_product(AlbProduct(balancer.region))
        machine = self.of_product(Ec2Product(balancer.region, balancer.machine_type))
        if isinstance(machine, UnknownCost):
            return machine
        return machine * max(len(self.proxies.sources(load_balancer_id)), 1)
