"""The one place that knows all: builds adapters from settings and hands them to use cases.

Each function builds, and imports, only what its Lambda function needs.
"""

from __future__ import annotations

import os
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
    from chalicelib.ports import Compute, Prices, ReconcileRequest
    from chalicelib.usecases.answer_traffic import AnswerTraffic
    from chalicelib.usecases.check_albs import CheckAlbs
    from chalicelib.usecases.discover import Discover
    from chalicelib.usecases.hold_traffic import HoldTraffic
    from chalicelib.usecases.ingest_activity import Ingest
    from chalicelib.usecases.manage_api_keys import ManageApiKeys
    from chalicelib.usecases.manual_change import ManualChange
    from chalicelib.usecases.observe import Observer
    from chalicelib.usecases.price_book import PriceBook
    from chalicelib.usecases.provision import Maker, Provisioner
    from chalicelib.usecases.reconcile import Reconciler
    from chalicelib.usecases.record_usage import RecordUsage
    from chalicelib.usecases.roll_up_savings import RollUpSavings
    from chalicelib.usecases.savings import Savings
    from chalicelib.usecases.services import Services
    from chalicelib.usecases.state_change import StateChange
    from chalicelib.usecases.tick import Tick
    from chalicelib.usecases.watch_albs import WatchAlbs
    from chalicelib.web.install.script import InstallSettings


@cache
def settings() -> Settings:
    """The environment of this process."""
    return from_env()


@cache
def _stores() -> DynamoStores:
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.adapters.dynamodb.stores import build_stores

    return build_stores(settings().table_prefix, settings().region, SystemClock())


@cache
def _queue() -> SqsQueue:
    from chalicelib.adapters.aws.sqs import SqsQueue

    return SqsQueue(settings().queue_url, settings().region)


@cache
def _computes() -> dict[ResourceKind, Compute]:
    from chalicelib.adapters.aws.ec2 import Ec2Compute
    from chalicelib.adapters.aws.rds import RdsCompute
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.domain.resources import ResourceKind

    # No client is made before a rule needs one.
    return {ResourceKind.EC2: Ec2Compute(), ResourceKind.RDS: RdsCompute(SystemClock())}


@cache
def _recurrences() -> Recurrences:
    from chalicelib.adapters.recurrence.windows import DateutilRecurrences

    return DateutilRecurrences()


@cache
def _observer() -> Observer:
    from chalicelib.adapters.aws.cloudwatch import CloudWatchMetrics
    from chalicelib.adapters.aws.ssm import SsmSessions
    from chalicelib.usecases.guards import GuardReader
    from chalicelib.usecases.observe import Observer

    s = _stores()
    guards = GuardReader(CloudWatchMetrics(), SsmSessions())
    return Observer(
        s.activity,
        s.proxies,
        _computes(),
        s.rules,
        s.schedules,
        _recurrences(),
        guards,
        s.account,
        _watch_albs(),
    )


@cache
def _watch_albs() -> WatchAlbs:
    from chalicelib.adapters.aws.alb_metrics import AwsAlbMetrics
    from chalicelib.adapters.aws.alb_traffic import AwsAlbTraffic
    from chalicelib.usecases.watch_albs import WatchAlbs

    return WatchAlbs(_stores().balancers, AwsAlbTraffic(), AwsAlbMetrics(), _stores().activity)


@cache
def _usage() -> RecordUsage:
    from chalicelib.usecases.record_usage import RecordUsage

    return RecordUsage(_stores().usage, _recurrences())


@cache
def tick() -> Tick:
    """For the `tick` function."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.tick import Tick

    return Tick(_stores().status, _queue(), SystemClock())


@cache
def reconciler() -> Reconciler:
    """For the `reconcile` function."""
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.usecases.diversions import Diversions
    from chalicelib.usecases.reconcile import Reconciler

    s = _stores()
    return Reconciler(
        s.rules,
        s.status,
        _observer(),
        Diversions(s.proxies, _watch_albs()),
        _computes(),
        s.events,
        s.back_offs,
        s.account,
        _queue(),
        SystemClock(),
        RandomIds(),
        _usage(),
    )


@cache
def discover() -> Discover:
    """For the `discover` function, and for the API."""
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.usecases.discover import Discover

    s, clock = _stores(), SystemClock()
    queue, provisioning, ids = _queue(), _provision_queue(), RandomIds()
    return Discover(s.rules, s.memberships, _computes(), s.events, s.back_offs, queue, clock, ids, provisioning)


def read_request(body: str) -> ReconcileRequest:
    """For the `reconcile` function: the request in a message. Raises InvalidInputError for anything else."""
    from chalicelib.adapters.aws.sqs import decode

    return decode(body)


@cache
def state_change() -> StateChange:
    """For the `ec2_state` and `rds_state` functions."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.state_change import StateChange

    return StateChange(_stores().rules, _stores().status, _queue(), SystemClock())


@cache
def manual_change() -> ManualChange:
    """For the `ec2_calls` function."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.manual_change import ManualChange

    return ManualChange(_stores().rules, _stores().events, SystemClock())


@cache
def ingest() -> Ingest:
    """For the `proxy_logs` function."""
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.usecases.ingest_activity import Ingest

    s = _stores()
    return Ingest(s.activity, s.proxies, s.balancers, s.events, SystemClock(), RandomIds(), settings().heartbeat)


@cache
def _provision_queue() -> SqsProvisionQueue:
    from chalicelib.adapters.aws.provision_queue import SqsProvisionQueue

    return SqsProvisionQueue(settings().provision_queue_url, settings().region)


def read_provision_message(body: str) -> tuple[str, bool]:
    """For the `provision` function: the load balancer in a message, and whether it is not to wait.

    Raises InvalidInputError for anything else.
    """
    from chalicelib.adapters.aws.provision_queue import decode

    return decode(body)


def install_settings(balancer: LoadBalancer, api_url: str) -> InstallSettings:
    """What the scripts for a proxy's VM are made with."""
    from chalicelib.web.install.script import InstallSettings

    region, group = settings().region, settings().proxy_log_group
    return InstallSettings(api_url, balancer.id, region, group, balancer.port_range, balancer.key_secret_arn)


@cache
def provisioner() -> Provisioner:
    """For the `provision` functions."""
    from chalicelib.adapters.aws.alb_rules import AwsAlbRules
    from chalicelib.adapters.aws.albs import AwsAlbs
    from chalicelib.adapters.aws.certificate_proof import CertificateProof
    from chalicelib.adapters.aws.dns_records import Route53Records
    from chalicelib.adapters.aws.network import AwsNetwork
    from chalicelib.adapters.aws.opened_rules import Ec2OpenedRules
    from chalicelib.adapters.aws.proxy_machines import Ec2ProxyAddresses, Ec2ProxyMachines
    from chalicelib.adapters.aws.proxy_roles import IamProxyRoles
    from chalicelib.adapters.aws.proxy_secrets import AwsProxySecrets
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.adapters.aws.target_groups import AwsTargetGroups
    from chalicelib.adapters.aws.warm_up_function import AwsWarmUpFunction
    from chalicelib.domain.load_balancers import LoadBalancerKind
    from chalicelib.usecases.make_alb import AlbMaker
    from chalicelib.usecases.make_proxy import ProxyMaker
    from chalicelib.usecases.provision import Provisioner
    from chalicelib.usecases.provision_acts import ProxyActs
    from chalicelib.usecases.provision_facts import ProxyFacts
    from chalicelib.web.install.made import boot_script

    def script(balancer: LoadBalancer) -> str:
        return boot_script(install_settings(balancer, balancer.provision.api_url if balancer.provision else ""))

    s, stage, clock, ids = _stores(), settings(), SystemClock(), RandomIds()
    machines, addresses = Ec2ProxyMachines(stage.stage), Ec2ProxyAddresses(stage.stage)
    opened, secrets, proof = Ec2OpenedRules(stage.stage), AwsProxySecrets(stage.stage), CertificateProof(clock)
    roles = IamProxyRoles(stage.stage, stage.region, stage.proxy_log_group, stage.proxy_boundary_arn, proof)
    facts = ProxyFacts(machines, addresses, opened, roles, secrets, AwsNetwork(), s.proxies, s.keys, clock)
    acts = ProxyActs(machines, addresses, opened, roles, secrets, s.keys, script, s.events, clock, ids)
    elb = AwsAlbs(stage.stage), AwsAlbRules(stage.stage), AwsTargetGroups(stage.stage)
    function, records = AwsWarmUpFunction(stage.warm_up_function), Route53Records()
    albs = AlbMaker(*elb, function, records, s.proxies, s.events, clock, ids)
    makers: dict[LoadBalancerKind, Maker] = {
        LoadBalancerKind.PROXY: ProxyMaker(facts, acts),
        LoadBalancerKind.ALB: albs,
    }
    return Provisioner(s.balancers, s.provisions, makers, _provision_queue(), s.events, clock, ids)


@cache
def answer_traffic() -> AnswerTraffic:
    """For the `warm_up` function: the stores that it needs and no others, since a browser waits for their import."""
    from chalicelib.adapters.aws.clients import made_by
    from chalicelib.adapters.aws.sqs import SqsQueue
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.adapters.dynamodb.balancers import DynamoBalancers
    from chalicelib.adapters.dynamodb.events import DynamoEvents
    from chalicelib.adapters.dynamodb.models import (
        BalancerItem,
        EventItem,
        ProxyItem,
        RuleItem,
        configure,
        share_client,
    )
    from chalicelib.adapters.dynamodb.proxies import DynamoProxyStore
    from chalicelib.adapters.dynamodb.rules import DynamoRules
    from chalicelib.adapters.dynamodb.status import DynamoRuleStatus
    from chalicelib.usecases.answer_traffic import AnswerTraffic
    from chalicelib.usecases.warm_up import WarmUp

    clock = SystemClock()
    configure(settings().table_prefix, settings().region)
    session = share_client(RuleItem, ProxyItem, BalancerItem, EventItem)
    queue = SqsQueue(settings().queue_url, settings().region, made_by(session))
    rules, events = DynamoRules(clock), DynamoEvents(clock)
    warm_up = WarmUp(rules, DynamoRuleStatus(clock), events, queue, clock, RandomIds())
    return AnswerTraffic(warm_up, rules, DynamoProxyStore(clock), DynamoBalancers(clock), events, clock)


@cache
def hold_traffic() -> HoldTraffic:
    """For the `warm_up` function, where a rule's clients are held."""
    import random
    import time

    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.adapters.dynamodb.holds import DynamoHolds
    from chalicelib.usecases.hold_traffic import HoldTraffic

    clock = SystemClock()
    places = DynamoHolds(clock, random.sample)
    return HoldTraffic(answer_traffic(), places, clock, RandomIds(), time.sleep)


@cache
def _prices() -> Prices:
    from chalicelib.adapters.aws.pricing import AwsPrices, ProcessCache
    from chalicelib.adapters.aws.system import SystemClock

    return AwsPrices(ProcessCache(SystemClock()))


def new_price_book() -> PriceBook:
    """For one answer, or one day: what AWS did not tell is asked for again in the next."""
    from chalicelib.usecases.price_book import PriceBook

    return PriceBook(_prices(), _stores().balancers, _stores().proxies)


@cache
def roll_up_savings() -> RollUpSavings:
    """For the `savings_rollup` function."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.count_days import CountDays
    from chalicelib.usecases.roll_up_savings import RollUpSavings

    usage = _stores().usage
    return RollUpSavings(usage, CountDays(usage), new_price_book, SystemClock())


@cache
def savings() -> Savings:
    """For the routes of savings alone: whoever wakes a rule does not wait for their imports."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.count_days import CountDays
    from chalicelib.usecases.savings import Savings

    s = _stores()
    return Savings(s.rules, s.usage, CountDays(s.usage), new_price_book, SystemClock())


@cache
def manage_api_keys() -> ManageApiKeys:
    """For the API, and for the scripts that make the first key."""
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.usecases.manage_api_keys import ManageApiKeys

    s = _stores()
    return ManageApiKeys(s.keys, s.balancers, s.events, SystemClock(), RandomIds())


def create_first_admin_key(by: str = "bootstrap") -> str:
    """For scripts: a key of role admin. The token is seen here once and stored nowhere."""
    from chalicelib.domain.access import Role

    return manage_api_keys().create(Role.ADMIN, "first admin key", by).token


@cache
def check_albs() -> CheckAlbs:
    """For what is about ALBs alone: whoever wakes a rule does not wait for its imports."""
    from chalicelib.adapters.aws.alb_account import AwsAlbAccount
    from chalicelib.adapters.aws.alb_rules import AwsAlbRules
    from chalicelib.adapters.aws.albs import AwsAlbs
    from chalicelib.adapters.aws.network import AwsNetwork
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.adapters.aws.warm_up_function import AwsWarmUpFunction
    from chalicelib.usecases.check_albs import CheckAlbs

    stage, name, proxies = settings(), os.environ.get("AWS_LAMBDA_FUNCTION_NAME"), _stores().proxies
    albs, rules, function = AwsAlbs(stage.stage), AwsAlbRules(stage.stage), AwsWarmUpFunction(stage.warm_up_function)
    itself = AwsWarmUpFunction(name) if name else None
    seen = AwsAlbAccount(), albs, rules, function, AwsNetwork(), proxies, SystemClock()
    return CheckAlbs(*seen, stage.region, itself)


@cache
def services() -> Services:
    """For the API handler."""
    from chalicelib.adapters.aws.network import AwsNetwork
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.adapters.resolver import SystemResolver
    from chalicelib.usecases.check_dns import CheckDns
    from chalicelib.usecases.explain import Explain
    from chalicelib.usecases.heartbeat import Heartbeat
    from chalicelib.usecases.manage_account import ManageAccount
    from chalicelib.usecases.manage_load_balancers import ManageLoadBalancers
    from chalicelib.usecases.manage_rules import ManageRules
    from chalicelib.usecases.manage_schedules import ManageSchedules
    from chalicelib.usecases.overrides import Overrides
    from chalicelib.usecases.proxy_config import ProxyConfig
    from chalicelib.usecases.services import Services
    from chalicelib.usecases.warm_up import WarmUp

    s, queue, computes, clock, ids = _stores(), _queue(), _computes(), SystemClock(), RandomIds()
    return Services(
        ManageRules(
            s.rules,
            s.status,
            s.proxies,
            s.balancers,
            s.schedules,
            computes,
            s.events,
            queue,
            clock,
            ids,
            _usage(),
            discover(),
            _provision_queue(),
            check_albs,
        ),
        ManageSchedules(s.schedules, s.rules, s.status, _recurrences(), s.events, queue, clock, ids),
        ManageLoadBalancers(
            s.balancers,
            s.proxies,
            s.secret_reports,
            AwsNetwork(),
            s.provisions,
            _provision_queue(),
            s.events,
            clock,
            ids,
            check_albs,
        ),
        manage_api_keys(),
        ManageAccount(s.account, s.events, clock, ids),
        Overrides(s.rules, s.status, s.activity, s.proxies, s.events, queue, clock, ids),
        Heartbeat(s.rules, s.activity, clock),
        Explain(s.rules, _observer(), clock),
        ProxyConfig(
            s.rules,
            s.status,
            s.activity,
            s.proxies,
            s.balancers,
            s.secret_reports,
            s.agent_reports,
            s.events,
            queue,
            clock,
            ids,
        ),
        WarmUp(s.rules, s.status, s.events, queue, clock, ids),
        savings,
        s.keys,
        s.events,
        s.activity,
        s.proxies,
        clock,
        check_albs,
        CheckDns(s.balancers, SystemResolver(), ids),
        settings().shortest_idle_minutes,
    )
