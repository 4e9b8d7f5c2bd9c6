"""Asking AWS what the checks of a load balancer need to know, and going on where it does not answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from chalicelib.domain.errors import CloudError
from chalicelib.domain.network import NetworkFacts, Unread, secret_region

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.ports import Network

T = TypeVar("T")


def read_network(network: Network, balancer: LoadBalancer) -> NetworkFacts:
    """One call for each kind of thing that it names; never raises CloudError: what was not answered is Unread.

    Of a VM of the user's own, neither its type nor its key is asked for: EC2 took both when the VM was made.
    """
    ask, region, arn = Questions(), balancer.region, balancer.api_key_secret_arn
    ours, key = not balancer.existing, balancer.key_pair
    return NetworkFacts(
        ask(lambda: network.vpc(region, balancer.vpc_id)),
        ask(lambda: network.subnets(region, balancer.subnet_ids)),
        ask(lambda: network.security_groups(region, balancer.security_group_ids)),
        ask(lambda: network.zones_offering(region, balancer.machine_type)) if ours else None,
        ask(lambda: network.architectures(region, balancer.machine_type)) if ours else None,
        ask(lambda: network.has_key_pair(region, key)) if ours and key is not None else None,
        None if arn is None or secret_region(arn) is None else ask(lambda: network.has_secret(arn)),
    )


def read_alb_network(network: Network, balancer: LoadBalancer, *, nothing: bool = False) -> NetworkFacts:
    """What an ALB stands in; `nothing`: without asking, for one that is refused anyway."""
    if nothing:
        return NetworkFacts(None, {}, {})
    ask, region = Questions(), balancer.region
    return NetworkFacts(
        ask(lambda: network.vpc(region, balancer.vpc_id)),
        ask(lambda: network.subnets(region, balancer.subnet_ids)),
        ask(lambda: network.security_groups(region, balancer.security_group_ids)),
    )


def read_groups(network: Network, balancer: LoadBalancer) -> NetworkFacts:
    """Only what is to know before ports are opened: the VPC's range, and what the groups let in."""
    ask, region = Questions(), balancer.region
    vpc = ask(lambda: network.vpc(region, balancer.vpc_id))
    return NetworkFacts(vpc, {}, ask(lambda: network.security_groups(region, balancer.security_group_ids)))


@dataclass(slots=True)
class Questions:
    """Stops asking once AWS throttles or is not there: each further wait would be as long, and our time is short."""

    _gone: Unread | None = None

    def __call__(self, question: Callable[[], T]) -> T | Unread:
        if self._gone is not None:
            return self._gone
        try:
            return question()
        except CloudError as error:
            unread = Unread(str(error))
            if error.retryable:
                self._gone = unread
            return unread
