"""What the use cases need from the world. Each Protocol has at most seven methods and one contract suite."""

from chalicelib.domain.products import Deployment, Ec2Product, Product, RdsProduct
from chalicelib.ports.account import AccountStore, ApiKeyRepository, BackOffs, EventLog
from chalicelib.ports.activity import ActivityFacts, ActivityStore, Health, LastActivity, Total
from chalicelib.ports.alb_traffic import AlbMetrics, AlbTraffic
from chalicelib.ports.albs import AlbAccount, AlbRules, Albs, DnsRecords, Resolver, TargetGroups, WarmUpFunction
from chalicelib.ports.basics import Clock, Idempotency, Ids, Page
from chalicelib.ports.cloud import (
    Compute,
    Metrics,
    Prices,
    ReconcileRequest,
    Series,
    Sessions,
    WorkQueue,
)
from chalicelib.ports.flows import FlowStore, Interfaces
from chalicelib.ports.holds import Holds
from chalicelib.ports.log_objects import LogObjects
from chalicelib.ports.measures import Measure, Measures, Tracer
from chalicelib.ports.memberships import Memberships
from chalicelib.ports.network import Network
from chalicelib.ports.provisioning import (
    BootScript,
    OpenedRules,
    ProvisionQueue,
    Provisions,
    ProxyAddresses,
    ProxyMachines,
    ProxyRoles,
    ProxySecrets,
)
from chalicelib.ports.proxies import AgentReports, LoadBalancerRepository, PollState, ProxyStore, SecretReports
from chalicelib.ports.rules import NO_GRAPH, NOBODY, DueRule, RuleRepository, RuleStatusStore, ScheduleRepository
from chalicelib.ports.savings import UsageRecords

__all__ = [
    "NOBODY",
    "NO_GRAPH",
    "AccountStore",
    "ActivityFacts",
    "ActivityStore",
    "AgentReports",
    "AlbAccount",
    "AlbMetrics",
    "AlbRules",
    "AlbTraffic",
    "Albs",
    "ApiKeyRepository",
    "BackOffs",
    "BootScript",
    "Clock",
    "Compute",
    "Deployment",
    "DnsRecords",
    "DueRule",
    "Ec2Product",
    "EventLog",
    "FlowStore",
    "Health",
    "Holds",
    "Idempotency",
    "Ids",
    "Interfaces",
    "LastActivity",
    "LoadBalancerRepository",
    "LogObjects",
    "Measure",
    "Measures",
    "Memberships",
    "Metrics",
    "Network",
    "OpenedRules",
    "Page",
    "PollState",
    "Prices",
    "Product",
    "ProvisionQueue",
    "Provisions",
    "ProxyAddresses",
    "ProxyMachines",
    "ProxyRoles",
    "ProxySecrets",
    "ProxyStore",
    "RdsProduct",
    "ReconcileRequest",
    "Resolver",
    "RuleRepository",
    "RuleStatusStore",
    "ScheduleRepository",
    "SecretReports",
    "Series",
    "Sessions",
    "TargetGroups",
    "Total",
    "Tracer",
    "UsageRecords",
    "WarmUpFunction",
    "WorkQueue",
]
