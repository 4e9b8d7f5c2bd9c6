"""What `ports.OpenedRules` promises, of the rules in memory and of EC2's security groups (moto)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from chalicelib.adapters.aws.opened_rules import Ec2OpenedRules
from chalicelib.adapters.memory.proxy_parts import FakeOpenedRules
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.network_checks import MissingRule
from chalicelib.domain.provisioning import OpenedRule
from tests.builders import make_balancer
from tests.contract.conftest_aws import fresh_aws
from tests.contract.proxy_account import STAGE, ProxyAccount
from tests.unit.aws.conftest import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.ports import OpenedRules

VPC = "10.7.0.0/16"
Ends = tuple[str, int, int, str]


class Bench(Protocol):
    rules: OpenedRules
    balancer: LoadBalancer
    other: LoadBalancer
    groups: tuple[str, ...]

    def add_theirs(self, group_id: str, first: int, last: int, source: str) -> None:
        """A person adds a rule."""

    def everything(self) -> set[Ends]:
        """Whatever lets anybody in, whosever it is."""


class InMemory:
    groups = ("sg-1", "sg-2")

    def __init__(self) -> None:
        self.rules = FakeOpenedRules()
        self.balancer, self.other = make_balancer(existing=False), make_balancer("lb_2", existing=False)

    def add_theirs(self, group_id: str, first: int, last: int, source: str) -> None:
        self.rules.open(make_balancer("somebody's"), MissingRule(group_id, first, last, source))

    def everything(self) -> set[Ends]:
        return {ends(rule) for _, rule in self.rules.added.values()}


class Aws:
    def __init__(self) -> None:
        self.account = ProxyAccount()
        self.rules, self.groups = Ec2OpenedRules(STAGE), self.account.groups
        self.balancer, self.other = self.account.balancer(), self.account.balancer("lb_2")

    def add_theirs(self, group_id: str, first: int, last: int, source: str) -> None:
        permission = {"IpProtocol": "tcp", "FromPort": first, "ToPort": last, "IpRanges": [{"CidrIp": source}]}
        self.account.ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[permission])

    def seen(self) -> list[dict[str, Any]]:
        found = self.account.ec2.describe_security_group_rules()["SecurityGroupRules"]
        return [rule for rule in found if not rule["IsEgress"] and rule["GroupId"] in self.groups]

    def everything(self) -> set[Ends]:
        return {(rule["GroupId"], rule["FromPort"], rule["ToPort"], rule["CidrIpv4"]) for rule in self.seen()}


def ends(rule: OpenedRule) -> Ends:
    return rule.group_id, rule.first, rule.last, rule.source


@pytest.fixture(params=["memory", "moto"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "memory":
        yield InMemory()
        return
    with fresh_aws():
        yield Aws()


@pytest.fixture
def aws() -> Iterator[Aws]:
    with fresh_aws():
        yield Aws()


def test_a_rule_that_is_opened_twice_is_there_once_and_found_by_its_load_balancer_only(bench):
    group = bench.groups[0]
    assert list(bench.rules.find(bench.balancer)) == []
    for _ in range(2):
        bench.rules.open(bench.balancer, MissingRule(group, 80, 80, VPC))
    (found,) = bench.rules.find(bench.balancer)
    assert ends(found) == (group, 80, 80, VPC)
    assert list(bench.rules.find(bench.other)) == []


def test_rules_of_whatever_group_ports_and_source_are_all_found(bench):
    one, two = bench.groups
    wanted = {(one, 80, 80, VPC), (one, 20000, 20031, VPC), (one, 80, 80, "192.0.2.0/24"), (two, 80, 80, VPC)}
    for rule in wanted:
        bench.rules.open(bench.balancer, MissingRule(*rule))
    found = bench.rules.find(bench.balancer)
    assert {ends(rule) for rule in found} == wanted
    assert len({rule.id for rule in found}) == 4


def test_a_rule_is_closed_once_and_twice_and_no_other_is(bench):
    group = bench.groups[0]
    for port in (80, 443):
        bench.rules.open(bench.balancer, MissingRule(group, port, port, VPC))
    bench.rules.open(bench.other, MissingRule(group, 22, 22, VPC))
    gone = next(rule for rule in bench.rules.find(bench.balancer) if rule.first == 80)
    for _ in range(2):
        bench.rules.close(bench.balancer, gone)
        assert [rule.first for rule in bench.rules.find(bench.balancer)] == [443]
    assert bench.everything() == {(group, 443, 443, VPC), (group, 22, 22, VPC)}


def test_what_somebody_opened_before_us_stays_theirs(bench):
    group = bench.groups[0]
    bench.add_theirs(group, 80, 80, VPC)
    bench.add_theirs(group, 80, 81, VPC)
    bench.rules.open(bench.balancer, MissingRule(group, 80, 80, VPC))
    assert list(bench.rules.find(bench.balancer)) == []
    bench.rules.open(bench.balancer, MissingRule(group, 443, 443, VPC))
    (ours,) = bench.rules.find(bench.balancer)
    bench.rules.close(bench.balancer, ours)
    assert bench.everything() == {(group, 80, 80, VPC), (group, 80, 81, VPC)}


# Only AWS has it


def test_what_is_closed_was_never_there(aws):
    aws.add_theirs(aws.groups[0], 80, 80, VPC)
    aws.rules.close(aws.balancer, OpenedRule("sgr-0123456789abcdef0", aws.groups[0], 80, 80, VPC))
    assert aws.everything() == {(aws.groups[0], 80, 80, VPC)}


def test_a_rule_of_ours_is_tagged_and_says_for_whom_it_is(aws):
    aws.rules.open(aws.balancer, MissingRule(aws.groups[0], 80, 80, VPC))
    (rule,) = aws.seen()
    tags = {"autostop:proxy": "lb_1", "autostop:stage": STAGE, "Name": "autostop proxy"}
    assert {tag["Key"]: tag["Value"] for tag in rule["Tags"]} == tags
    assert (rule["IpProtocol"], rule["Description"]) == ("tcp", "AutoStop: lb_1")


def test_rules_of_another_stage_and_ones_that_let_out_are_none_of_ours(aws):
    Ec2OpenedRules("prod").open(aws.balancer, MissingRule(aws.groups[0], 80, 80, VPC))
    tags = [{"Key": "autostop:proxy", "Value": "lb_1"}, {"Key": "autostop:stage", "Value": STAGE}]
    aws.account.ec2.authorize_security_group_egress(
        GroupId=aws.groups[0],
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 5, "ToPort": 5, "IpRanges": [{"CidrIp": VPC}]}],
        TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": tags}],
    )
    assert list(aws.rules.find(aws.balancer)) == []


def test_a_group_that_is_gone_is_said_in_the_words_of_aws(aws):
    with pytest.raises(CloudError) as caught:
        aws.rules.open(aws.balancer, MissingRule("sg-0123456789abcdef0", 80, 80, VPC))
    assert caught.value.code == "InvalidGroup.NotFound"


@pytest.mark.parametrize(
    ("code", "kind"), [("RulesPerSecurityGroupLimitExceeded", CloudError), ("RequestLimitExceeded", ThrottledError)]
)
def test_a_refusal_is_raised_with_the_code_of_aws(aws, code, kind):
    ours = OpenedRule("sgr-1", aws.groups[0], 80, 80, VPC)
    for call in (
        lambda: aws.rules.open(aws.balancer, MissingRule(aws.groups[0], 80, 80, VPC)),
        lambda: aws.rules.find(replace(aws.balancer, name="x")),
        lambda: aws.rules.close(aws.balancer, ours),
    ):
        aws.account.refusals.append(refusal(code))
        with pytest.raises(CloudError) as caught:
            call()
        assert (type(caught.value), caught.value.code) == (kind, code)
