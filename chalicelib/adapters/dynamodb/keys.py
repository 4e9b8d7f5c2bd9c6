"""API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.cursors import decode, encode
from chalicelib.adapters.dynamodb.errors import condition_failed, translated
from chalicelib.adapters.dynamodb.models import KeyItem
from chalicelib.domain.access import ApiKey
from chalicelib.domain.errors import NotFoundError
from chalicelib.ports import Page

if TYPE_CHECKING:
    from collections.abc import Sequence


class DynamoKeys:
    """Implements ApiKeyRepository."""

    def create(self, key: ApiKey) -> None:
        with translated():
            KeyItem(key.id, body=dump(key)).save(condition=KeyItem.id.does_not_exist())

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
        with translated():
            try:
                KeyItem(key_id).delete(condition=KeyItem.id.exists())
            except PynamoDBException as error:
                if condition_failed(error):
                    raise NotFoundError("API key", key_id) from error
                raise
