"""Every wrong field of a load balancer is named at once, and every port that nobody can reach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.memory.network import FakeNetwork
from chalicelib.domain.errors import CloudError, Fault, ThrottledError
from chalicelib.domain.network import Ingress, NetworkFacts, SecurityGroup, Subnet, Unread, Vpc
from chalicelib.domain.network_checks import MissingRule, faults_of, missing_rules, warnings_of
from chalicelib.usecases.read_network import read_network
from tests.builders import make_balancer

REGION = "us-east-1"
ARN = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:"
EVERYBODY = ("0.0.0.0/0",)


def network() -> FakeNetwork:
    """vpc-a with subnets in two zones and two groups; vpc-b with one of each."""
    made = FakeNetwork()
    for vpc, cidr in (("vpc-a", "10.1.0.0/16"), ("vpc-b", "10.2.0.0/16")):
        made.add_vpc(REGION, vpc, cidr)
    for subnet in (
        Subnet("subnet-a1", "vpc-a", f"{REGION}a"),
        Subnet("subnet-a2", "vpc-a", f"{REGION}b"),
        Subnet("subnet-b", "vpc-b", f"{REGION}a"),
    ):
        made.add_subnet(REGION, subnet)
    for group, vpc in (("sg-a1", "vpc-a"), ("sg-a2", "vpc-a"), ("sg-b", "vpc-b")):
        made.add_group(REGION, group, vpc)
    made.offers |= {("t3.micro", f"{REGION}a"), ("t3.micro", f"{REGION}b"), ("p5.huge", f"{REGION}b")}
    made.key_pairs.add((REGION, "ops"))
    made.secrets.add(f"{ARN}key-abcdef")
    return made


def wanted(**changes: Any):
    settings = {
        "existing": False,
        "vpc_id": "vpc-a",
        "subnet_ids": ("subnet-a1", "subnet-a2"),
        "security_group_ids": ("sg-a1", "sg-a2"),
        "key_pair": "ops",
        "api_key_secret_arn": f"{ARN}key-abcdef",
    }
    return make_balancer(**(settings | changes))


def faults(**changes: Any) -> dict[str, str]:
    balancer = wanted(**changes)
    return {fault.field: fault.message for fault in faults_of(balancer, read_network(network(), balancer))}


def test_what_is_right_has_no_fault():
    assert faults() == {}
    assert faults(key_pair=None, api_key_secret_arn=None) == {}


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"subnet_ids": ("subnet-a1", "subnet-b")}, "subnet_ids[1]", "subnet-b is in vpc-b, not in vpc-a"),
        ({"subnet_ids": ("subnet-x", "subnet-a1")}, "subnet_ids[0]", "there is no subnet-x in us-east-1"),
        ({"security_group_ids": ("sg-a1", "sg-b")}, "security_group_ids[1]", "sg-b is in vpc-b, not in vpc-a"),
        ({"security_group_ids": ("sg-x",)}, "security_group_ids[0]", "there is no sg-x in us-east-1"),
        ({"security_group_ids": ()}, "security_group_ids", "must name at least one"),
        ({"machine_type": "t9.no"}, "machine_type", "t9.no is not offered in us-east-1"),
        (
            {"machine_type": "p5.huge"},
            "machine_type",
            "p5.huge is not offered in us-east-1a (subnet-a1), only in us-east-1b",
        ),
        ({"key_pair": "op"}, "key_pair", "there is no key pair op in us-east-1"),
        (
            {"api_key_secret_arn": f"{ARN}other-abcdef"},
            "api_key_secret_arn",
            "there is no such secret, or it is about to be deleted",
        ),
        ({"api_key_secret_arn": "key"}, "api_key_secret_arn", "is not the ARN of a secret in Secrets Manager"),
    ],
)
def test_each_fault_says_what_and_where(changes, field, words):
    assert faults(**changes) == {field: words}


def test_a_vpc_that_is_not_there_is_named_with_everything_that_is_in_another():
    assert faults(vpc_id="vpc-x", subnet_ids=("subnet-a1",), security_group_ids=("sg-b",)) == {
        "vpc_id": "there is no vpc-x in us-east-1",
        "subnet_ids[0]": "subnet-a1 is in vpc-a, not in vpc-x",
        "security_group_ids[0]": "sg-b is in vpc-b, not in vpc-x",
    }


def test_a_machine_with_another_processor_than_the_proxys_programs_are_for_is_refused():
    asked = network()
    asked.offers |= {("t4g.micro", zone) for _, zone in asked.offers}
    balancer = wanted(machine_type="t4g.micro")
    found = {fault.field: fault.message for fault in faults_of(balancer, read_network(asked, balancer))}
    assert found == {"machine_type": "t4g.micro is arm64, and the proxy's programs are x86_64"}


def test_a_subnet_without_which_nothing_can_be_made_is_missed():
    assert faults(subnet_ids=()) == {"subnet_ids": "must name at least one"}


IDS = st.lists(st.booleans(), min_size=1, max_size=6)


@given(IDS, IDS, st.booleans(), st.booleans(), st.booleans(), st.sampled_from(["missing", "elsewhere"]))
def test_any_set_of_wrong_fields_is_named_completely_and_nothing_else(subnets, groups, type_ok, key_ok, secret_ok, how):
    wrong_subnet, wrong_group = ("subnet-x", "sg-x") if how == "missing" else ("subnet-b", "sg-b")
    found = faults(
        subnet_ids=tuple("subnet-a1" if right else wrong_subnet for right in subnets),
        security_group_ids=tuple("sg-a1" if right else wrong_group for right in groups),
        machine_type="t3.micro" if type_ok else "t9.no",
        key_pair="ops" if key_ok else "none",
        api_key_secret_arn=f"{ARN}{'key' if secret_ok else 'none'}-abcdef",
    )
    expected = {f"subnet_ids[{n}]" for n, right in enumerate(subnets) if not right}
    expected |= {f"security_group_ids[{n}]" for n, right in enumerate(groups) if not right}
    oks = {"machine_type": type_ok, "key_pair": key_ok, "api_key_secret_arn": secret_ok}
    assert set(found) == expected | {field for field, right in oks.items() if not right}


QUESTIONS = {
    "vpc": "vpc_id",
    "subnets": "subnet_ids",
    "security_groups": "security_group_ids",
    "zones_offering": "machine_type",
    "architectures": "machine_type",
    "has_key_pair": "key_pair",
    "has_secret": "api_key_secret_arn",
}


@given(st.sets(st.sampled_from(sorted(QUESTIONS))))
def test_what_aws_refuses_to_tell_is_a_fault_of_its_field_and_hides_no_other(refused):
    asked = network()
    asked.refusals = {question: CloudError("UnauthorizedOperation", "not authorized") for question in refused}
    balancer = wanted(vpc_id="vpc-x", key_pair="none")
    found = {fault.field: fault.message for fault in faults_of(balancer, read_network(asked, balancer))}
    for question in refused:
        assert found[QUESTIONS[question]] == "could not be looked at: UnauthorizedOperation: not authorized"
    if "vpc" not in refused:
        assert found["vpc_id"] == "there is no vpc-x in us-east-1"
    if "has_key_pair" not in refused:
        assert found["key_pair"] == "there is no key pair none in us-east-1"


def test_once_aws_throttles_or_is_away_nothing_more_is_asked():
    asked = network()
    asked.fail_next.append(ThrottledError("RequestLimitExceeded", "Rate exceeded"))
    balancer = wanted()
    found = faults_of(balancer, read_network(asked, balancer))
    assert asked.asked == ["vpc"]
    assert {fault.field for fault in found} == set(QUESTIONS.values())
    assert {fault.message for fault in found} == {"could not be looked at: RequestLimitExceeded: Rate exceeded"}


def test_each_thing_is_asked_for_once():
    asked = network()
    read_network(asked, wanted())
    assert sorted(asked.asked) == sorted(QUESTIONS)


class TestVmsOfTheUsersOwn:
    def test_nothing_that_they_name_is_a_fault_and_all_of_it_a_warning(self):
        balancer = wanted(existing=True, vpc_id="vpc-x", subnet_ids=("subnet-x",), security_group_ids=("sg-x",))
        facts = read_network(network(), balancer)
        assert faults_of(balancer, facts) == ()
        assert {warning.field for warning in warnings_of(balancer, {20000}, facts)} == {
            "vpc_id",
            "subnet_ids[0]",
            "security_group_ids[0]",
        }

    def test_their_type_and_key_are_not_asked_for_since_ec2_took_them_already(self):
        asked = network()
        balancer = wanted(existing=True, machine_type="t9.no", key_pair="none")
        assert warnings_of(balancer, (), read_network(asked, balancer)) == ()
        assert asked.asked == ["vpc", "subnets", "security_groups", "has_secret"]

    def test_a_network_that_aws_does_not_tell_is_a_warning_too(self):
        asked = network()
        asked.refusals = {"security_groups": CloudError("UnauthorizedOperation", "not authorized")}
        balancer = wanted(existing=True)
        (warning,) = warnings_of(balancer, {20000}, read_network(asked, balancer))
        assert warning == Fault(
            "security_group_ids", "could not be looked at: UnauthorizedOperation: not authorized"
        ), "whether the port is open is not known, so it is not said to be shut"

    def test_one_that_names_neither_subnets_nor_groups_is_left_alone(self):
        balancer = wanted(existing=True, subnet_ids=(), security_group_ids=())
        assert warnings_of(balancer, {20000}, read_network(network(), balancer)) == ()


def facts_with(*ingress: Ingress, second: tuple[Ingress, ...] = ()) -> NetworkFacts:
    groups = {"sg-a1": SecurityGroup("sg-a1", "vpc-a", ingress), "sg-a2": SecurityGroup("sg-a2", "vpc-a", second)}
    subnets = {id_: Subnet(id_, "vpc-a", f"{REGION}a") for id_ in ("subnet-a1", "subnet-a2")}
    return NetworkFacts(Vpc("vpc-a", "10.1.0.0/16"), subnets, groups)


class TestPorts:
    def test_the_rule_to_add_is_said_to_the_letter(self):
        assert warnings_of(wanted(), {8080}, facts_with()) == (
            Fault(
                "security_group_ids",
                "no security group lets anybody reach port 8080: add to sg-a1 an inbound rule with protocol tcp, "
                "port 8080, source 10.1.0.0/16 (the VPC), or wider",
            ),
        )

    def test_ports_that_follow_each_other_take_one_rule_since_a_group_has_room_for_few(self):
        assert missing_rules(wanted(), {20002, 80, 20000, 20001}, facts_with()) == (
            MissingRule("sg-a1", 80, 80, "10.1.0.0/16"),
            MissingRule("sg-a1", 20000, 20002, "10.1.0.0/16"),
        )
        assert "ports 20000-20002" in missing_rules(wanted(), {20000, 20001, 20002}, facts_with())[0].words

    def test_it_is_enough_that_one_of_the_groups_opens_a_port(self):
        opened = Ingress("tcp", (80, 80), ("sg-friends",))
        assert missing_rules(wanted(), {80}, facts_with(second=(opened,))) == ()

    @pytest.mark.parametrize(
        ("rule", "opens"),
        [
            (Ingress("tcp", (20000, 29999), EVERYBODY), True),
            (Ingress("-1", None, EVERYBODY), True),
            (Ingress("6", None, EVERYBODY), True),
            (Ingress("udp", (20000, 20000), EVERYBODY), False),
            (Ingress("tcp", (20001, 29999), EVERYBODY), False),
            (Ingress("tcp", (20000, 20000), ()), False),
        ],
    )
    def test_a_rule_opens_a_port_by_protocol_range_and_source(self, rule, opens):
        assert (missing_rules(wanted(), {20000}, facts_with(rule)) == ()) is opens

    def test_a_group_that_is_not_known_may_open_them_all(self):
        facts = facts_with()
        assert missing_rules(wanted(security_group_ids=("sg-a1", "sg-x")), {80}, facts) == ()
        assert missing_rules(wanted(), {80}, replace(facts, groups=Unread("throttled"))) == ()

    def test_the_rule_goes_to_a_group_of_the_right_vpc(self):
        groups = {"sg-b": SecurityGroup("sg-b", "vpc-b"), "sg-a1": SecurityGroup("sg-a1", "vpc-a")}
        facts = replace(facts_with(), groups=groups)
        (rule,) = missing_rules(wanted(security_group_ids=("sg-b", "sg-a1")), {80}, facts)
        assert rule.group_id == "sg-a1"

    def test_without_a_known_vpc_the_source_is_left_to_the_reader(self):
        (rule,) = missing_rules(wanted(), {80}, replace(facts_with(), vpc=None))
        assert rule.source is None
        assert rule.words.endswith("source the addresses of those who use it")

    @given(st.sets(st.integers(1, 120)), st.lists(st.tuples(st.integers(1, 120), st.integers(0, 40)), max_size=4))
    def test_the_rules_to_add_cover_exactly_the_ports_that_are_shut(self, ports, ranges):
        opened = [Ingress("tcp", (first, first + more), EVERYBODY) for first, more in ranges]
        missing = missing_rules(wanted(), ports, facts_with(*opened))
        covered = [port for rule in missing for port in range(rule.first, rule.last + 1)]
        shut = {port for port in ports if not any(first <= port <= first + more for first, more in ranges)}
        assert sorted(covered) == sorted(shut)
        added = [Ingress(rule.protocol, (rule.first, rule.last), EVERYBODY) for rule in missing]
        assert missing_rules(wanted(), ports, facts_with(*opened, *added)) == ()
