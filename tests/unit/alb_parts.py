"""ELB, ACM, Route 53, Lambda and DNS in memory, and what checks ALBs on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters.memory.alb_account import (
    FakeAlbAccount,
    FakeDnsRecords,
    FakeResolver,
    FakeWarmUpFunction,
)
from chalicelib.adapters.memory.albs import FakeAlbRules, FakeAlbs, FakeElb, FakeTargetGroups
from chalicelib.adapters.memory.network import FakeNetwork
from chalicelib.usecases.check_albs import CheckAlbs

if TYPE_CHECKING:
    from chalicelib.ports import Clock, ProxyStore

REGION = "us-east-1"


@dataclass
class AlbParts:
    elb: FakeElb
    account: FakeAlbAccount
    albs: FakeAlbs
    rules: FakeAlbRules
    groups: FakeTargetGroups
    function: FakeWarmUpFunction
    records: FakeDnsRecords
    resolver: FakeResolver
    check: CheckAlbs


def alb_parts(clock: Clock, proxies: ProxyStore, network: FakeNetwork | None = None) -> AlbParts:
    elb = FakeElb(clock)
    account, albs, rules, function = FakeAlbAccount(elb), FakeAlbs(elb), FakeAlbRules(elb), FakeWarmUpFunction()
    check = CheckAlbs(account, albs, rules, function, network or FakeNetwork(), proxies, clock, REGION, function)
    return AlbParts(elb, account, albs, rules, FakeTargetGroups(elb), function, FakeDnsRecords(), FakeResolver(), check)
