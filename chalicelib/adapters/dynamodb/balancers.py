"""Load balancers, each with the poll item that its proxies read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException, TransactWriteError

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.cursors import decode, encode
from chalicelib.adapters.dynamodb.errors import condition_failed, failed_conditions, no_condition, translated
from chalicelib.adapters.dynamodb.idempotency import answered, remember
from chalicelib.adapters.dynamodb.models import BalancerItem, ProxyItem
from chalicelib.adapters.dynamodb.transactions import transaction
from chalicelib.domain.errors import ConflictError, NotFoundError, VersionMismatchError
from chalicelib.domain.load_balancers import LoadBalancer
from chalicelib.ports import Page

if TYPE_CHECKING:
    from chalicelib.ports import Clock, Idempotency


class DynamoBalancers:
    """Implements LoadBalancerRepository."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def create(self, balancer: LoadBalancer, idempotency: Idempotency | None = None) -> LoadBalancer:
        now = self._clock.now()
        if (known := answered("load-balancer", idempotency, now)) is not None:
            return self.get(known)
        try:
            with translated(), transaction(BalancerItem) as write:
                write.save(ProxyItem(balancer.id, "poll", rules_version=0, states_version=0, rules=0))
                write.save(BalancerItem(balancer.id, body=dump(balancer), version=balancer.version))
                remember(write, "load-balancer", balancer.id, idempotency, now)
        except TransactWriteError as error:
            if (known := answered("load-balancer", idempotency, now)) is not None:
                return self.get(known)
            raise no_condition(error) from error
        return balancer

    def get(self, load_balancer_id: str) -> LoadBalancer:
        with translated():
            try:
                return _balancer(BalancerItem.get(load_balancer_id, consistent_read=True))
            except BalancerItem.DoesNotExist:
                raise NotFoundError("load balancer", load_balancer_id) from None

    def list(self, limit: int, cursor: str | None = None) -> Page[LoadBalancer]:
        with translated():
            found = BalancerItem.scan(limit=limit, last_evaluated_key=decode(cursor))
            return Page(tuple(_balancer(item) for item in found), encode(found.last_evaluated_key))

    def replace(self, before: LoadBalancer, after: LoadBalancer) -> LoadBalancer:
        new = replace(after, version=before.version + 1)
        item = BalancerItem(new.id, body=dump(new), version=new.version)
        if new.beside_rules == before.beside_rules:
            self._write(item, before)
        else:
            self._publish(item, before)
        return new

    def delete(self, balancer: LoadBalancer) -> None:
        self._unchanged(balancer)
        try:
            with translated(), transaction(BalancerItem) as write:
                empty = ProxyItem.load_balancer_id.does_not_exist() | (ProxyItem.rules == 0)
                write.delete(ProxyItem(balancer.id, "poll"), condition=empty)
                write.delete(BalancerItem(balancer.id), condition=BalancerItem.version == balancer.version)
        except TransactWriteError as error:
            if failed_conditions(error) is None:
                raise no_condition(error) from error
            self._unchanged(balancer)
            raise ConflictError(f"Rules are still on load balancer {balancer.id}; delete them first.") from error
        with translated():
            for item in ProxyItem.query(balancer.id, consistent_read=True):
                item.delete()

    def _write(self, item: BalancerItem, before: LoadBalancer) -> None:
        with translated():
            try:
                item.save(condition=BalancerItem.version == before.version)
            except PynamoDBException as error:
                if not condition_failed(error):
                    raise
                self._unchanged(before)
                raise

    def _publish(self, item: BalancerItem, before: LoadBalancer) -> None:
        """With the version that makes its proxies poll it."""
        try:
            with translated(), transaction(BalancerItem) as write:
                write.save(item, condition=BalancerItem.version == before.version)
                poll = ProxyItem(before.id, "poll")
                there = ProxyItem.load_balancer_id.exists()
                write.update(poll, actions=[ProxyItem.rules_version.add(1)], condition=there)
        except TransactWriteError as error:
            if failed_conditions(error) is None:
                raise no_condition(error) from error
            self._unchanged(before)
            raise ConflictError("It was changed meanwhile; try again.") from error

    def _unchanged(self, read: LoadBalancer) -> None:
        """Raises VersionMismatchError where it is no longer at the version read, NotFoundError."""
        stored = self.get(read.id)
        if stored.version != read.version:
            raise VersionMismatchError(f"It is at version {stored.version}, not {read.version}.")


def _balancer(item: BalancerItem) -> LoadBalancer:
    return replace(load(LoadBalancer, item.body), version=int(item.version))
