"""What proxies say of their certificates, beside what they poll."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynamodb.exceptions import TransactWriteError

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.errors import failed_conditions, no_condition, translated
from chalicelib.adapters.dynamodb.models import ProxyItem
from chalicelib.adapters.dynamodb.transactions import transaction
from chalicelib.domain.certificates import MemberSecrets
from chalicelib.domain.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PART = "secrets#"


class DynamoSecretReports:
    """Implements SecretReports."""

    def put(self, load_balancer_id: str, report: MemberSecrets) -> None:
        try:
            with translated(), transaction(ProxyItem) as write:
                there = ProxyItem.load_balancer_id.exists()
                write.condition_check(ProxyItem, load_balancer_id, "poll", condition=there)
                write.save(ProxyItem(load_balancer_id, f"{_PART}{report.member}", body=dump(report)))
        except TransactWriteError as error:
            if failed_conditions(error) is None:
                raise no_condition(error) from error
            raise NotFoundError("load balancer", load_balancer_id) from error

    def of(self, load_balancer_id: str) -> Sequence[MemberSecrets]:
        with translated():
            found = ProxyItem.query(load_balancer_id, ProxyItem.part.startswith(_PART), consistent_read=True)
            return tuple(load(MemberSecrets, item.body or "") for item in found)
