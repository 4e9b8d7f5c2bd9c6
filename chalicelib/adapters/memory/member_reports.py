"""What proxies say of themselves, in memory: the last word of each member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from chalicelib.domain.certificates import MemberSecrets
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.members import MemberAgent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.adapters.memory.proxies import MemoryProxyStore


class _Report(Protocol):
    @property
    def member(self) -> str: ...


R = TypeVar("R", bound=_Report)


class _MemberReports(Generic[R]):
    def __init__(self, proxies: MemoryProxyStore) -> None:
        self._proxies = proxies
        self._reports: dict[tuple[str, str], R] = {}

    def put(self, load_balancer_id: str, report: R) -> None:
        self._proxies.poll(load_balancer_id)
        self._reports[load_balancer_id, report.member] = report

    def of(self, load_balancer_id: str) -> Sequence[R]:
        try:
            self._proxies.poll(load_balancer_id)
        except NotFoundError:
            return ()
        return tuple(report for (balancer, _), report in self._reports.items() if balancer == load_balancer_id)


class MemorySecretReports(_MemberReports[MemberSecrets]):
    """Implements SecretReports."""


class MemoryAgentReports(_MemberReports[MemberAgent]):
    """Implements AgentReports."""
