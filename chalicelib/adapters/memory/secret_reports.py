"""What proxies say of their certificates, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.domain.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.adapters.memory.proxies import MemoryProxyStore
    from chalicelib.domain.certificates import MemberSecrets


class MemorySecretReports:
    """Implements SecretReports."""

    def __init__(self, proxies: MemoryProxyStore) -> None:
        self._proxies = proxies
        self._reports: dict[tuple[str, str], MemberSecrets] = {}

    def put(self, load_balancer_id: str, report: MemberSecrets) -> None:
        self._proxies.poll(load_balancer_id)
        self._reports[load_balancer_id, report.member] = report

    def of(self, load_balancer_id: str) -> Sequence[MemberSecrets]:
        try:
            self._proxies.poll(load_balancer_id)
        except NotFoundError:
            return ()
        return tuple(report for (balancer, _), report in self._reports.items() if balancer == load_balancer_id)
