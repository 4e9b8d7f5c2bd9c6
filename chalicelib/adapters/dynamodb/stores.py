"""Every store of one stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.account import DynamoAccount
from chalicelib.adapters.dynamodb.activity import DynamoActivity
from chalicelib.adapters.dynamodb.back_offs import DynamoBackOffs
from chalicelib.adapters.dynamodb.balancers import DynamoBalancers
from chalicelib.adapters.dynamodb.events import DynamoEvents
from chalicelib.adapters.dynamodb.keys import DynamoKeys
from chalicelib.adapters.dynamodb.member_reports import DynamoAgentReports, DynamoSecretReports
from chalicelib.adapters.dynamodb.members import DynamoMemberships
from chalicelib.adapters.dynamodb.models import configure
from chalicelib.adapters.dynamodb.proxies import DynamoProxyStore
from chalicelib.adapters.dynamodb.rules import DynamoRules
from chalicelib.adapters.dynamodb.schedules import DynamoSchedules
from chalicelib.adapters.dynamodb.status import DynamoRuleStatus

if TYPE_CHECKING:
    from chalicelib.adapters.dynamodb.flows import DynamoFlows
    from chalicelib.adapters.dynamodb.provisions import DynamoProvisions
    from chalicelib.adapters.dynamodb.usage import DynamoUsage
    from chalicelib.ports import Clock


@dataclass(frozen=True, slots=True)
class DynamoStores:
    """The attributes have the names that the use cases' constructors take."""

    rules: DynamoRules
    schedules: DynamoSchedules
    memberships: DynamoMemberships
    status: DynamoRuleStatus
    activity: DynamoActivity
    proxies: DynamoProxyStore
    secret_reports: DynamoSecretReports
    agent_reports: DynamoAgentReports
    balancers: DynamoBalancers
    keys: DynamoKeys
    events: DynamoEvents
    back_offs: DynamoBackOffs
    account: DynamoAccount
    clock: Clock

    @property
    def provisions(self) -> DynamoProvisions:
        """Imported when it is asked for, as `usage` is."""
        from chalicelib.adapters.dynamodb.provisions import DynamoProvisions  # noqa: PLC0415

        return DynamoProvisions(self.balancers)

    @property
    def flows(self) -> DynamoFlows:
        """Imported when it is asked for: few functions read flow logs."""
        from chalicelib.adapters.dynamodb.flows import DynamoFlows  # noqa: PLC0415

        return DynamoFlows(self.clock)

    @property
    def usage(self) -> DynamoUsage:
        """Imported when it is asked for: savings are no business of the functions that wake a rule."""
        from chalicelib.adapters.dynamodb.usage import DynamoUsage  # noqa: PLC0415

        return DynamoUsage(self.clock)


def build_stores(prefix: str, region: str, clock: Clock, endpoint_url: str | None = None) -> DynamoStores:
    """Point the models at the stage's tables; nothing is called, and no client made, before the first use."""
    configure(prefix, region, endpoint_url)
    return DynamoStores(
        DynamoRules(clock),
        DynamoSchedules(clock),
        DynamoMemberships(clock),
        DynamoRuleStatus(clock),
        DynamoActivity(clock),
        DynamoProxyStore(clock),
        DynamoSecretReports(),
        DynamoAgentReports(),
        DynamoBalancers(clock),
        DynamoKeys(),
        DynamoEvents(clock),
        DynamoBackOffs(),
        DynamoAccount(),
        clock,
    )
