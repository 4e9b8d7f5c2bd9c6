"""Places to wait in: one item each beside what the load balancer's proxies poll."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException

from chalicelib.adapters.dynamodb.errors import condition_failed, translated
from chalicelib.adapters.dynamodb.models import ProxyItem
from chalicelib.adapters.dynamodb.times import micros
from chalicelib.domain.holding import PLACES, TRIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from chalicelib.ports import Clock


class DynamoHolds:
    """Implements Holds. `choose` names the places that one request tries, by chance: nobody counts in one item."""

    def __init__(self, clock: Clock, choose: Callable[[Sequence[int], int], Sequence[int]]) -> None:
        self._clock = clock
        self._choose = choose

    def take(self, load_balancer_id: str, rule_id: str, holder: str, until: datetime) -> int | None:
        for place in self._choose(range(PLACES), TRIES):
            item = ProxyItem(load_balancer_id, _part(rule_id, place), body=holder, until=micros(until))
            free = ProxyItem.load_balancer_id.does_not_exist() | (ProxyItem.until <= micros(self._clock.now()))
            with translated():
                try:
                    item.save(condition=free)
                except PynamoDBException as error:
                    if not condition_failed(error):
                        raise
                    continue
            return place
        return None

    def give_back(self, load_balancer_id: str, rule_id: str, holder: str, place: int) -> None:
        with translated():
            try:
                ProxyItem(load_balancer_id, _part(rule_id, place)).delete(condition=ProxyItem.body == holder)
            except PynamoDBException as error:
                if not condition_failed(error):
                    raise


def _part(rule_id: str, place: int) -> str:
    return f"held#{rule_id}#{place}"
