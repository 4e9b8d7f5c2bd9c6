"""What more than one of the functions is built of: each is made once a process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from chalicelib.settings import Settings, from_env

if TYPE_CHECKING:
    from chalicelib.adapters.aws.provision_queue import SqsProvisionQueue
    from chalicelib.adapters.aws.sqs import SqsQueue
    from chalicelib.adapters.dynamodb.stores import DynamoStores
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.resources import ResourceKind
    from chalicelib.domain.schedules import Recurrences
    from chalicelib.ports import Compute
    from chalicelib.usecases.observe import Observer
    from chalicelib.usecases.record_usage import RecordUsage
    from chalicelib.usecases.watch_albs import WatchAlbs
    from chalicelib.usecases.watch_flows import WatchFlows
    from chalicelib.web.install.script import InstallSettings


@cache
def settings() -> Settings:
    """The environment of this process."""
    return from_env()


@cache
def stores() -> DynamoStores:
    """The tables."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.adapters.dynamodb.stores import build_stores

    return build_stores(settings().table_prefix, settings().region, SystemClock())


@cache
def queue() -> SqsQueue:
    """Where looks are asked for."""
    from chalicelib.adapters.aws.sqs import SqsQueue

    return SqsQueue(settings().queue_url, settings().region)


@cache
def provision_queue() -> SqsProvisionQueue:
    """Where the making of load balancers is asked for."""
    from chalicelib.adapters.aws.provision_queue import SqsProvisionQueue

    return SqsProvisionQueue(settings().provision_queue_url, settings().region)


@cache
def computes() -> dict[ResourceKind, Compute]:
    """What can be stopped, by its kind."""
    from chalicelib.adapters.aws.ec2 import Ec2Compute
    from chalicelib.adapters.aws.rds import RdsCompute
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.domain.resources import ResourceKind

    # No client is made before a rule needs one.
    return {ResourceKind.EC2: Ec2Compute(), ResourceKind.RDS: RdsCompute(SystemClock())}


@cache
def recurrences() -> Recurrences:
    """Of schedules with rules of RFC 5545."""
    from chalicelib.adapters.recurrence.windows import DateutilRecurrences

    return DateutilRecurrences()


@cache
def watch_albs() -> WatchAlbs:
    """How traffic goes on ALBs."""
    from chalicelib.adapters.aws.alb_metrics import AwsAlbMetrics
    from chalicelib.adapters.aws.alb_traffic import AwsAlbTraffic
    from chalicelib.usecases.watch_albs import WatchAlbs

    return WatchAlbs(stores().balancers, AwsAlbTraffic(), AwsAlbMetrics(), stores().activity)


@cache
def observer() -> Observer:
    """What gathers the facts around rules."""
    from chalicelib.adapters.aws.cloudwatch import CloudWatchMetrics
    from chalicelib.adapters.aws.ssm import SsmSessions
    from chalicelib.usecases.guards import GuardReader
    from chalicelib.usecases.observe import Observer

    s = stores()
    guards = GuardReader(CloudWatchMetrics(), SsmSessions())
    return Observer(
        s.activity,
        s.proxies,
        computes(),
        s.rules,
        s.schedules,
        recurrences(),
        guards,
        s.account,
        watch_albs(),
        _watch_flows(),
    )


@cache
def _watch_flows() -> WatchFlows:
    from chalicelib.adapters.aws.interfaces import Ec2Interfaces
    from chalicelib.usecases.watch_flows import WatchFlows

    return WatchFlows(Ec2Interfaces(), stores().flows, settings().flow_log_window)


@cache
def usage() -> RecordUsage:
    """What is counted for savings."""
    from chalicelib.usecases.record_usage import RecordUsage

    return RecordUsage(stores().usage, recurrences())


def install_settings(balancer: LoadBalancer, api_url: str) -> InstallSettings:
    """What the scripts for a proxy's VM are made with."""
    from chalicelib.web.install.script import InstallSettings

    region, group = settings().region, settings().proxy_log_group
    return InstallSettings(api_url, balancer.id, region, group, balancer.port_range, balancer.key_secret_arn)
