"""For the functions that make load balancers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from chalicelib.bootstrap.parts import install_settings, provision_queue, queue, settings, stores
from chalicelib.bootstrap.telling import measures

if TYPE_CHECKING:
    from chalicelib.domain.load_balancers import LoadBalancer, LoadBalancerKind
    from chalicelib.usecases.measure_proxies import MeasureProxies
    from chalicelib.usecases.provision import Maker, Provisioner


class _Makers(dict["LoadBalancerKind", "Maker"]):
    """Each is built for the first load balancer of its kind: the sweep needs none."""

    def __missing__(self, kind: LoadBalancerKind) -> Maker:
        made = self[kind] = _proxy_maker() if kind.value == "proxy" else _alb_maker()
        return made


@cache
def provisioner() -> Provisioner:
    """For the `provision` functions."""
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.usecases.provision import Provisioner

    s = stores()
    return Provisioner(s.balancers, s.provisions, _Makers(), provision_queue(), s.events, SystemClock(), RandomIds())


@cache
def measure_proxies() -> MeasureProxies:
    """For the `provision_sweep` function."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.measure_proxies import MeasureProxies

    return MeasureProxies(stores().balancers, stores().proxies, measures(), SystemClock())


def _proxy_maker() -> Maker:
    from chalicelib.adapters.aws.certificate_proof import CertificateProof
    from chalicelib.adapters.aws.network import AwsNetwork
    from chalicelib.adapters.aws.opened_rules import Ec2OpenedRules
    from chalicelib.adapters.aws.proxy_machines import Ec2ProxyAddresses, Ec2ProxyMachines
    from chalicelib.adapters.aws.proxy_roles import IamProxyRoles
    from chalicelib.adapters.aws.proxy_secrets import AwsProxySecrets
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.usecases.make_proxy import ProxyMaker
    from chalicelib.usecases.provision_acts import ProxyActs
    from chalicelib.usecases.provision_facts import ProxyFacts
    from chalicelib.web.install.made import boot_script

    def script(balancer: LoadBalancer) -> str:
        return boot_script(install_settings(balancer, balancer.provision.api_url if balancer.provision else ""))

    s, stage, clock = stores(), settings(), SystemClock()
    machines, addresses = Ec2ProxyMachines(stage.stage), Ec2ProxyAddresses(stage.stage)
    opened, secrets, proof = Ec2OpenedRules(stage.stage), AwsProxySecrets(stage.stage), CertificateProof(clock)
    roles = IamProxyRoles(stage.stage, stage.region, stage.proxy_log_group, stage.proxy_boundary_arn, proof)
    facts = ProxyFacts(machines, addresses, opened, roles, secrets, AwsNetwork(), s.proxies, s.keys, clock)
    acts = ProxyActs(machines, addresses, opened, roles, secrets, s.keys, script, s.events, clock, RandomIds())
    return ProxyMaker(facts, acts)


def _alb_maker() -> Maker:
    from chalicelib.adapters.aws.alb_rules import AwsAlbRules
    from chalicelib.adapters.aws.albs import AwsAlbs
    from chalicelib.adapters.aws.dns_records import Route53Records
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.adapters.aws.target_groups import AwsTargetGroups
    from chalicelib.adapters.aws.warm_up_function import AwsWarmUpFunction
    from chalicelib.usecases.make_alb import AlbMaker

    s, stage = stores(), settings()
    elb = AwsAlbs(stage.stage), AwsAlbRules(stage.stage), AwsTargetGroups(stage.stage)
    function, records = AwsWarmUpFunction(stage.warm_up_function), Route53Records()
    return AlbMaker(*elb, function, records, s.proxies, s.events, queue(), SystemClock(), RandomIds())


def read_provision_message(body: str) -> tuple[str, bool]:
    """For the `provision` function: the load balancer in a message, and whether it is not to wait.

    Raises InvalidInputError for anything else.
    """
    from chalicelib.adapters.aws.provision_queue import decode

    return decode(body)
