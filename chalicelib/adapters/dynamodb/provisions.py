"""How far the making of load balancers is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException, TransactWriteError

from chalicelib.adapters.dynamodb.balancers import EMPTY, forget_proxies, refused, unchanged
from chalicelib.adapters.dynamodb.codec import dump
from chalicelib.adapters.dynamodb.errors import condition_failed, failed_conditions, translated
from chalicelib.adapters.dynamodb.models import BalancerItem, ProxyItem
from chalicelib.adapters.dynamodb.transactions import transaction
from chalicelib.domain.errors import LostClaimError

if TYPE_CHECKING:
    from pynamodb.expressions.condition import Condition
    from pynamodb.expressions.update import Action

    from chalicelib.adapters.dynamodb.balancers import DynamoBalancers
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.provision import Provision


class DynamoProvisions:
    """Implements Provisions."""

    def __init__(self, balancers: DynamoBalancers) -> None:
        self._balancers = balancers

    def put(self, balancer: LoadBalancer, provision: Provision) -> LoadBalancer:
        new = replace(provision, revision=_revision(balancer) + 1)
        actions = _actions(new)
        with translated():
            try:
                BalancerItem(balancer.id).update(actions=actions, condition=_same_revision(balancer))
            except PynamoDBException as error:
                if condition_failed(error):
                    self._balancers.get(balancer.id)
                    raise LostClaimError(f"{balancer.id} is being made by another worker.") from error
                raise
        return replace(balancer, provision=new)

    def begin_removal(self, balancer: LoadBalancer, provision: Provision) -> LoadBalancer:
        unchanged(balancer, self._balancers.get(balancer.id))
        new = replace(provision, revision=_revision(balancer) + 1)
        actions = _actions(new)
        same = (BalancerItem.version == balancer.version) & _same_revision(balancer)
        try:
            with translated(), transaction(BalancerItem) as write:
                write.delete(ProxyItem(balancer.id, "poll"), condition=EMPTY)
                write.update(BalancerItem(balancer.id), actions=actions, condition=same)
        except TransactWriteError as error:
            stored = self._balancers.get(balancer.id)
            if failed_conditions(error) is not None and stored.provision != balancer.provision:
                raise LostClaimError(f"{balancer.id} is being made by another worker.") from error
            refused(error, balancer, stored)
        forget_proxies(balancer.id)
        return replace(balancer, provision=new)

    def end_removal(self, balancer: LoadBalancer) -> None:
        with translated():
            try:
                BalancerItem(balancer.id).delete(condition=_same_revision(balancer))
            except PynamoDBException as error:
                if condition_failed(error):
                    self._balancers.get(balancer.id)
                    raise LostClaimError(f"{balancer.id} is being made by another worker.") from error
                raise


def _revision(balancer: LoadBalancer) -> int:
    return balancer.provision.revision if balancer.provision else 0


def _actions(provision: Provision) -> list[Action]:
    return [BalancerItem.provision.set(dump(provision)), BalancerItem.revision.set(provision.revision)]


def _same_revision(balancer: LoadBalancer) -> Condition:
    same: Condition = BalancerItem.revision == _revision(balancer)
    if balancer.provision is None:
        same = BalancerItem.id.exists() & BalancerItem.revision.does_not_exist()
    return same
