"""Load balancers, each with the poll item that its proxies read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.cursors import decode, encode
from chalicelib.adapters.dynamodb.errors import condition_failed, translated
from chalicelib.adapters.dynamodb.models import BalancerItem, ClaimItem, ProxyItem
from chalicelib.adapters.dynamodb.rules import KEPT
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
        if idempotency is not None and (known := self._first(balancer, idempotency)) is not None:
            return self.get(known)
        with translated():
            # The poll item first: a load balancer that can be read can be polled.
            ProxyItem(balancer.id, "poll", rules_version=0, states_version=0, rules=0).save()
            BalancerItem(balancer.id, body=dump(balancer), version=balancer.version).save()
        return balancer

    def get(self, load_balancer_id: str) -> LoadBalancer:
        with translated():
            try:
                return _balancer(BalancerItem.get(load_balancer_id, consistent_read=True))
            except BalancerItem.DoesNotExist:
                raise NotFoundError("load balancer", load_balancer_id) from None

    def list(self, limit: int, cursor: str | None = None) -> Page[LoadBalancer]:
        with translated():
            found = BalancerItem.scan(limit=limit, last_evaluated_key=decode(cursor, frozenset({"id"})))
            return Page(tuple(_balancer(item) for item in found), encode(found.last_evaluated_key))

    def replace(self, before: LoadBalancer, after: LoadBalancer) -> LoadBalancer:
        new = replace(after, version=before.version + 1)
        self._write(BalancerItem(new.id, body=dump(new), version=new.version), before)
        return new

    def delete(self, balancer: LoadBalancer) -> None:
        self.get(balancer.id)
        with translated():
            poll = ProxyItem(balancer.id, "poll")
            try:
                poll.delete(condition=ProxyItem.load_balancer_id.does_not_exist() | (ProxyItem.rules == 0))
            except PynamoDBException as error:
                if condition_failed(error):
                    raise ConflictError(
                        f"Rules are still on load balancer {balancer.id}; delete them first."
                    ) from error
                raise
            try:
                BalancerItem(balancer.id).delete(condition=BalancerItem.version == balancer.version)
            except PynamoDBException as error:
                if condition_failed(error):
                    ProxyItem(balancer.id, "poll", rules_version=0, states_version=0, rules=0).save()
                    raise VersionMismatchError("It was changed by somebody else meanwhile.") from error
                raise
            for item in ProxyItem.query(balancer.id, consistent_read=True):
                item.delete()

    def _write(self, item: BalancerItem, before: LoadBalancer) -> None:
        with translated():
            try:
                item.save(condition=BalancerItem.version == before.version)
            except PynamoDBException as error:
                if not condition_failed(error):
                    raise
                stored = self.get(before.id)
                raise VersionMismatchError(f"It is at version {stored.version}, not {before.version}.") from error

    def _first(self, balancer: LoadBalancer, idempotency: Idempotency) -> str | None:
        """Take the key for this load balancer; the id that holds it already, if one does and the body is the same."""
        key = f"idempotency#load-balancer#{idempotency.key}"
        now = self._clock.now()
        free = ClaimItem.key.does_not_exist() | (ClaimItem.expires <= now)
        item = ClaimItem(key, owner=balancer.id, fingerprint=idempotency.fingerprint, expires=now + KEPT)
        with translated():
            try:
                item.save(condition=free)
            except PynamoDBException as error:
                if not condition_failed(error):
                    raise
            else:
                return None
            known = ClaimItem.get(key, consistent_read=True)
        if known.fingerprint != idempotency.fingerprint:
            raise ConflictError("This Idempotency-Key was used for another request.")
        return known.owner


def _balancer(item: BalancerItem) -> LoadBalancer:
    return replace(load(LoadBalancer, item.body), version=int(item.version))
