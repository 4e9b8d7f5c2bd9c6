"""Everything the API needs, handed over by `bootstrap`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from chalicelib.ports import ActivityStore, ApiKeyRepository, Clock, EventLog, ProxyStore
    from chalicelib.usecases.check_albs import CheckAlbs
    from chalicelib.usecases.check_dns import CheckDns
    from chalicelib.usecases.check_health import CheckHealth
    from chalicelib.usecases.explain import Explain
    from chalicelib.usecases.heartbeat import Heartbeat
    from chalicelib.usecases.manage_account import ManageAccount
    from chalicelib.usecases.manage_api_keys import ManageApiKeys
    from chalicelib.usecases.manage_load_balancers import ManageLoadBalancers
    from chalicelib.usecases.manage_rules import ManageRules
    from chalicelib.usecases.manage_schedules import ManageSchedules
    from chalicelib.usecases.overrides import Overrides
    from chalicelib.usecases.proxy_config import ProxyConfig
    from chalicelib.usecases.savings import Savings
    from chalicelib.usecases.warm_up import WarmUp


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases behind the routes, and the stores that are read without one."""

    manage_rules: ManageRules
    manage_schedules: ManageSchedules
    manage_load_balancers: ManageLoadBalancers
    manage_api_keys: ManageApiKeys
    manage_account: ManageAccount
    overrides: Overrides
    heartbeat: Heartbeat
    explain: Callable[[], Explain]
    proxy_config: ProxyConfig
    warm_up: WarmUp
    savings: Callable[[], Savings]
    keys: ApiKeyRepository
    events: EventLog
    activity: ActivityStore
    proxies: ProxyStore
    clock: Clock
    check_albs: Callable[[], CheckAlbs]
    check_dns: CheckDns
    check_health: Callable[[], CheckHealth]
    shortest_idle_minutes: float = 1.0
    flow_log_window: timedelta | None = None
    """How long the flow logs of this stage aggregate; None: it reads none."""

    @property
    def limits(self) -> dict[str, object]:
        """What bodies are held against beside themselves."""
        return {"shortest_idle_minutes": self.shortest_idle_minutes, "flow_log_window": self.flow_log_window}
