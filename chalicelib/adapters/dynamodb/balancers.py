"""Load balancers, each with the poll item that its proxies read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from pynamodb.exceptions import PynamoDBException, TransactWriteError

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.cursors import decode, encode
from chalicelib.adapters.dynamodb.errors import condition_failed, failed_conditions, no_condition, translated
from chalicelib.adapters.dynamodb.idempotency import answered, remember
from chalicelib.adapters.dynamodb.models import BalancerItem, ProxyItem
from chalicelib.adapters.dynamodb.transactions import transaction
from chalicelib.domain.errors import ConflictError, NotFoundError, VersionMismatchError
from chalicelib.domain.load_balancers import LoadBalancer
from chalicelib.domain.provision import Provision
from chalicelib.ports import Page

if TYPE_CHECKING:
    from pynamodb.expressions.condition import Condition
    from pynamodb.expressions.update import Action

    from chalicelib.ports import Clock, Idempotency


_Actions: TypeAlias = "list[Action]"  # in the class below, `list` is a method

EMPTY: Condition = ProxyItem.load_balancer_id.does_not_exist() | (ProxyItem.rules == 0)


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
                write.save(_item(balancer))
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
        new = replace(after, version=before.version + 1, provision=before.provision)
        # How far its making is stays as it is, which may be other than was read.
        actions: list[Action] = [BalancerItem.body.set(_body(new)), BalancerItem.version.set(new.version)]
        if new.beside_rules == before.beside_rules:
            self._write(actions, before)
        else:
            self._publish(actions, before)
        return new

    def delete(self, balancer: LoadBalancer) -> None:
        self._unchanged(balancer)
        try:
            with translated(), transaction(BalancerItem) as write:
                write.delete(ProxyItem(balancer.id, "poll"), condition=EMPTY)
                write.delete(BalancerItem(balancer.id), condition=BalancerItem.version == balancer.version)
        except TransactWriteError as error:
            refused(error, balancer, self.get(balancer.id))
        forget_proxies(balancer.id)

    def _write(self, actions: _Actions, before: LoadBalancer) -> None:
        with translated():
            try:
                BalancerItem(before.id).update(actions=actions, condition=BalancerItem.version == before.version)
            except PynamoDBException as error:
                if not condition_failed(error):
                    raise
                self._unchanged(before)
                raise

    def _publish(self, actions: _Actions, before: LoadBalancer) -> None:
        """With the version that makes its proxies poll it."""
        try:
            with translated(), transaction(BalancerItem) as write:
                same = BalancerItem.version == before.version
                write.update(BalancerItem(before.id), actions=actions, condition=same)
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
        unchanged(read, self.get(read.id))


def unchanged(read: LoadBalancer, stored: LoadBalancer) -> None:
    """Raises VersionMismatchError where it is no longer at the version read."""
    if stored.version != read.version:
        raise VersionMismatchError(f"It is at version {stored.version}, not {read.version}.")


def refused(error: TransactWriteError, read: LoadBalancer, stored: LoadBalancer) -> NoReturn:
    """Why a load balancer cannot go: somebody wrote to it, or there are rules on it."""
    if failed_conditions(error) is None:
        raise no_condition(error) from error
    unchanged(read, stored)
    raise ConflictError(f"Rules are still on load balancer {read.id}; delete them first.") from error


def forget_proxies(load_balancer_id: str) -> None:
    """What its proxies have proved."""
    with translated():
        for item in ProxyItem.query(load_balancer_id, consistent_read=True):
            item.delete()


def _item(balancer: LoadBalancer) -> BalancerItem:
    made = balancer.provision
    item = BalancerItem(balancer.id, body=_body(balancer), version=balancer.version)
    if made is not None:
        item.provision, item.revision = dump(made), made.revision
    return item


def _body(balancer: LoadBalancer) -> str:
    return dump(replace(balancer, provision=None))


def _balancer(item: BalancerItem) -> LoadBalancer:
    made = load(Provision, item.provision) if item.provision else None
    return replace(load(LoadBalancer, item.body), version=int(item.version), provision=made)
