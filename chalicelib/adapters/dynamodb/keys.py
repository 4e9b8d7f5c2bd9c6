"""API keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException, TransactWriteError

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.cursors import decode, encode
from chalicelib.adapters.dynamodb.errors import condition_failed, failed_conditions, no_condition, translated
from chalicelib.adapters.dynamodb.models import KeyItem, ProxyItem
from chalicelib.adapters.dynamodb.transactions import transaction
from chalicelib.domain.access import ApiKey
from chalicelib.domain.errors import NotFoundError
from chalicelib.ports import Page

if TYPE_CHECKING:
    from collections.abc import Sequence


class DynamoKeys:
    """Implements ApiKeyRepository."""

    def create(self, key: ApiKey) -> None:
        item = KeyItem(key.id, body=dump(key))
        if key.load_balancer_id is None:
            with translated():
                item.save(condition=KeyItem.id.does_not_exist())
            return
        try:
            with translated(), transaction(KeyItem) as write:
                write.save(item, condition=KeyItem.id.does_not_exist())
                poll = ProxyItem(key.load_balancer_id, "poll")
                write.update(poll, actions=[ProxyItem.keys.add({_brief(key)})], condition=_POLLED)
        except TransactWriteError as error:
            if failed_conditions(error) is None:
                raise no_condition(error) from error
            raise NotFoundError("load balancer", key.load_balancer_id) from error

    def get(self, key_id: str) -> ApiKey:
        with translated():
            try:
                return load(ApiKey, KeyItem.get(key_id, consistent_read=True).body)
            except KeyItem.DoesNotExist:
                raise NotFoundError("API key", key_id) from None

    def list(self, limit: int, cursor: str | None = None) -> Page[ApiKey]:
        with translated():
            found = KeyItem.scan(limit=limit, last_evaluated_key=decode(cursor))
            keys: Sequence[ApiKey] = [load(ApiKey, item.body) for item in found]
            return Page(tuple(keys), encode(found.last_evaluated_key))

    def delete(self, key_id: str) -> None:
        key = self.get(key_id)
        if key.load_balancer_id is not None and self._unbind(key, key.load_balancer_id):
            return
        with translated():
            try:
                KeyItem(key_id).delete(condition=KeyItem.id.exists())
            except PynamoDBException as error:
                if condition_failed(error):
                    raise NotFoundError("API key", key_id) from error
                raise

    def _unbind(self, key: ApiKey, load_balancer_id: str) -> bool:
        """Delete it with what polls know of it; False where the load balancer is gone, or the key."""
        try:
            with translated(), transaction(KeyItem) as write:
                write.delete(KeyItem(key.id), condition=KeyItem.id.exists())
                poll = ProxyItem(load_balancer_id, "poll")
                write.update(poll, actions=[ProxyItem.keys.delete({_brief(key)})], condition=_POLLED)
        except TransactWriteError as error:
            if failed_conditions(error) is None:
                raise no_condition(error) from error
            return False
        return True


_POLLED = ProxyItem.load_balancer_id.exists()


def _brief(key: ApiKey) -> str:
    """What a poll needs to know of a key: each poll reads it."""
    return dump(replace(key, name=""))
