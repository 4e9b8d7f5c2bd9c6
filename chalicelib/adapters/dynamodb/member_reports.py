"""What proxies say of themselves, beside what they poll: the last word of each member, an item each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pynamodb.exceptions import TransactWriteError

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.errors import failed_conditions, no_condition, translated
from chalicelib.adapters.dynamodb.models import ProxyItem
from chalicelib.adapters.dynamodb.transactions import transaction
from chalicelib.domain.certificates import MemberSecrets
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.members import MemberAgent

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Report(Protocol):
    @property
    def member(self) -> str: ...


R = TypeVar("R", bound=_Report)


class _MemberReports(Generic[R]):
    def __init__(self, kind: type[R], part: str) -> None:
        self._kind, self._part = kind, part

    def put(self, load_balancer_id: str, report: R) -> None:
        try:
            with translated(), transaction(ProxyItem) as write:
                there = ProxyItem.load_balancer_id.exists()
                write.condition_check(ProxyItem, load_balancer_id, "poll", condition=there)
                write.save(ProxyItem(load_balancer_id, f"{self._part}{report.member}", body=dump(report)))
        except TransactWriteError as error:
            if failed_conditions(error) is None:
                raise no_condition(error) from error
            raise NotFoundError("load balancer", load_balancer_id) from error

    def of(self, load_balancer_id: str) -> Sequence[R]:
        with translated():
            found = ProxyItem.query(load_balancer_id, ProxyItem.part.startswith(self._part), consistent_read=True)
            return tuple(load(self._kind, item.body or "") for item in found)


class DynamoSecretReports(_MemberReports[MemberSecrets]):
    """Implements SecretReports."""

    def __init__(self) -> None:
        super().__init__(MemberSecrets, "secrets#")


class DynamoAgentReports(_MemberReports[MemberAgent]):
    """Implements AgentReports."""

    def __init__(self) -> None:
        super().__init__(MemberAgent, "agent#")
