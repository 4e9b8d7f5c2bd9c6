"""For the API handler, and for the scripts that make the first key."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from chalicelib.bootstrap.money import savings
from chalicelib.bootstrap.parts import computes, observer, provision_queue, queue, recurrences, settings, stores, usage
from chalicelib.bootstrap.scheduler import discover

if TYPE_CHECKING:
    from chalicelib.usecases.check_albs import CheckAlbs
    from chalicelib.usecases.check_health import CheckHealth
    from chalicelib.usecases.explain import Explain
    from chalicelib.usecases.manage_api_keys import ManageApiKeys
    from chalicelib.usecases.services import Services


@cache
def manage_api_keys() -> ManageApiKeys:
    """For the API, and for the scripts that make the first key."""
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.usecases.manage_api_keys import ManageApiKeys

    s = stores()
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

    stage, name, proxies = settings(), os.environ.get("AWS_LAMBDA_FUNCTION_NAME"), stores().proxies
    albs, rules, function = AwsAlbs(stage.stage), AwsAlbRules(stage.stage), AwsWarmUpFunction(stage.warm_up_function)
    itself = AwsWarmUpFunction(name) if name else None
    seen = AwsAlbAccount(), albs, rules, function, AwsNetwork(), proxies, SystemClock()
    return CheckAlbs(*seen, stage.region, itself)


@cache
def explain() -> Explain:
    """Only for whoever asks why: what it looks at ALBs with, nobody else waits for."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.explain import Explain

    return Explain(stores().rules, observer(), SystemClock())


@cache
def check_health() -> CheckHealth:
    """Only for the operator who asks."""
    from chalicelib import __version__
    from chalicelib.adapters.aws.backlogs import SqsBacklogs
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.check_health import CheckHealth

    s, stage = stores(), settings()
    dead_letters = f"{stage.queue_url.rsplit('/', 1)[0]}/autostop-{stage.stage}-dead-letters"
    backlogs = SqsBacklogs(stage.queue_url, dead_letters, stage.region)
    return CheckHealth(s.rules, s.status, s.balancers, s.proxies, s.agent_reports, backlogs, SystemClock(), __version__)


@cache
def services() -> Services:
    """For the API handler."""
    from chalicelib.adapters.aws.network import AwsNetwork
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.adapters.resolver import SystemResolver
    from chalicelib.usecases.check_dns import CheckDns
    from chalicelib.usecases.heartbeat import Heartbeat
    from chalicelib.usecases.manage_account import ManageAccount
    from chalicelib.usecases.manage_load_balancers import ManageLoadBalancers
    from chalicelib.usecases.manage_rules import ManageRules
    from chalicelib.usecases.manage_schedules import ManageSchedules
    from chalicelib.usecases.overrides import Overrides
    from chalicelib.usecases.proxy_config import ProxyConfig
    from chalicelib.usecases.services import Services
    from chalicelib.usecases.warm_up import WarmUp

    s, looks, clock, ids = stores(), queue(), SystemClock(), RandomIds()
    return Services(
        ManageRules(
            s.rules,
            s.status,
            s.proxies,
            s.balancers,
            s.schedules,
            computes(),
            s.events,
            looks,
            clock,
            ids,
            usage(),
            discover(),
            provision_queue(),
            check_albs,
        ),
        ManageSchedules(s.schedules, s.rules, s.status, recurrences(), s.events, looks, clock, ids),
        ManageLoadBalancers(
            s.balancers,
            s.proxies,
            s.secret_reports,
            AwsNetwork(),
            s.provisions,
            provision_queue(),
            s.events,
            clock,
            ids,
            check_albs,
        ),
        manage_api_keys(),
        ManageAccount(s.account, s.events, clock, ids),
        Overrides(s.rules, s.status, s.activity, s.proxies, s.events, looks, clock, ids),
        Heartbeat(s.rules, s.activity, clock),
        explain,
        ProxyConfig(
            s.rules,
            s.status,
            s.activity,
            s.proxies,
            s.balancers,
            s.secret_reports,
            s.agent_reports,
            s.events,
            looks,
            clock,
            ids,
        ),
        WarmUp(s.rules, s.status, s.events, looks, clock, ids),
        savings,
        s.keys,
        s.events,
        s.activity,
        s.proxies,
        clock,
        check_albs,
        CheckDns(s.balancers, SystemResolver(), ids),
        check_health,
        settings().shortest_idle_minutes,
        settings().flow_log_window if settings().flow_log_group else None,
    )
