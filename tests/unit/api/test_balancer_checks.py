"""Load balancers through the API: what they name is checked against the account, and what is shut is said."""

from __future__ import annotations

import json

import pytest

from chalicelib.domain.access import Role
from chalicelib.domain.errors import CloudError, InvalidInputError, ThrottledError
from chalicelib.domain.network import Ingress, Subnet
from tests.builders import make_balancer
from tests.unit.api.test_api import BALANCER, RULE

REGION = "us-east-1"
SHUT = (
    "security_group_ids: no security group lets anybody reach {ports}: add to sg-1 an inbound rule with protocol tcp, "
    "{ports}, source 10.1.0.0/16 (the VPC), or wider"
)


@pytest.fixture
def known(api):
    """The account has what BALANCER names."""
    api.network.add_vpc(REGION, "vpc-1", "10.1.0.0/16")
    api.network.add_subnet(REGION, Subnet("subnet-1", "vpc-1", f"{REGION}a"))
    api.network.add_group(REGION, "sg-1", "vpc-1")
    return api.network


def create(api, **changes):
    answer = api("POST", "/load-balancers", BALANCER | changes)
    assert answer.status_code == 201, answer.body
    return answer.json_body


@pytest.mark.usefixtures("known")
def test_a_proxy_in_a_network_that_is_there_has_no_warning(api):
    made = create(api)
    assert made["warnings"] == []
    assert api("GET", f"/load-balancers/{made['id']}", role=Role.VIEWER).json_body == made


def test_what_the_account_does_not_have_is_a_warning_for_a_vm_of_ones_own(api):
    assert create(api)["warnings"] == [
        "vpc_id: there is no vpc-1 in us-east-1",
        "subnet_ids[0]: there is no subnet-1 in us-east-1",
        "security_group_ids[0]: there is no sg-1 in us-east-1",
    ]


@pytest.mark.parametrize("error", [CloudError("InvalidAction", "unknown"), ThrottledError("Throttling", "Rate")])
def test_an_account_that_does_not_answer_keeps_nobody_from_registering_reading_or_changing_a_proxy(api, error):
    api.network.refusals = dict.fromkeys(("vpc", "subnets", "security_groups"), error)
    made = create(api)
    words = f"could not be looked at: {error}"
    assert made["warnings"] == [f"{field}: {words}" for field in ("vpc_id", "subnet_ids", "security_group_ids")]
    path = f"/load-balancers/{made['id']}"
    assert api("GET", path).json_body["warnings"] == made["warnings"]
    assert api("PUT", path, BALANCER | {"name": "new"}).json_body["warnings"] == made["warnings"]


def test_ports_that_its_rules_listen_on_and_no_group_opens_are_said_until_somebody_opens_them(api, known):
    made = create(api)
    rule = RULE | {"load_balancer_id": made["id"]}
    listens = api("POST", "/rules", rule).json_body["listen"]
    assert listens == {"22": 20000}
    path = f"/load-balancers/{made['id']}"
    assert api("GET", path).json_body["warnings"] == [SHUT.format(ports="port 80"), SHUT.format(ports="port 20000")]
    known.open(REGION, "sg-1", Ingress("tcp", (80, 80), ("10.1.0.0/16",)))
    assert api("GET", path).json_body["warnings"] == [SHUT.format(ports="port 20000")]
    known.open(REGION, "sg-1", Ingress("-1", None, ("sg-2",)))
    assert api("GET", path).json_body["warnings"] == []


def test_a_change_is_checked_as_it_will_be(api, known):
    path = f"/load-balancers/{create(api)['id']}"
    known.add_vpc(REGION, "vpc-2", "10.2.0.0/16")
    moved = api("PUT", path, BALANCER | {"vpc_id": "vpc-2"}).json_body
    assert moved["warnings"] == [
        "subnet_ids[0]: subnet-1 is in vpc-1, not in vpc-2",
        "security_group_ids[0]: sg-1 is in vpc-1, not in vpc-2",
    ]


def test_a_list_asks_aws_for_nothing_and_has_no_word_of_the_network(api, known):
    create(api)
    known.asked.clear()
    assert [item["warnings"] for item in api("GET", "/load-balancers").json_body["items"]] == [[], []]
    assert known.asked == []


@pytest.mark.usefixtures("known")
def test_a_repeated_request_is_answered_with_the_warnings_of_what_is_stored(api, known):
    made = api("POST", "/load-balancers", BALANCER, Idempotency_Key="k").json_body
    known.add_vpc(REGION, "vpc-2", "10.2.0.0/16")
    api("PUT", f"/load-balancers/{made['id']}", BALANCER | {"vpc_id": "vpc-2"})
    again = api("POST", "/load-balancers", BALANCER, Idempotency_Key="k").json_body
    assert (again["id"], again["vpc_id"]) == (made["id"], "vpc-2")
    assert "subnet_ids[0]: subnet-1 is in vpc-1, not in vpc-2" in again["warnings"]


def test_a_version_that_is_gone_costs_no_call(api, known):
    path = f"/load-balancers/{create(api)['id']}"
    known.asked.clear()
    assert api("PUT", path, BALANCER, If_Match='"7"').status_code == 412
    assert api("PUT", "/load-balancers/lb_none", BALANCER).status_code == 404
    assert known.asked == []


def test_a_kind_that_there_is_not_is_refused_by_name_before_aws_is_asked(api, known):
    answer = api("POST", "/load-balancers", BALANCER | {"existing": False, "kind": "nlb"})
    assert answer.status_code == 400
    assert answer.json_body["errors"] == [{"field": "kind", "message": "is not proxy or alb"}]
    assert known.asked == []


def test_one_that_is_to_be_made_is_refused_with_every_fault_and_nothing_of_it_is_stored(api):
    manage = api.services.manage_load_balancers
    before = manage.page(100, None).items
    draft = make_balancer("", existing=False, key_pair="ops")
    wrong = {"vpc_id", "subnet_ids[0]", "security_group_ids[0]", "machine_type", "key_pair"}
    for attempt, more in (
        (lambda: manage.create(draft, "test", str), set()),
        (lambda: manage.replace("lb_1", draft, "test"), {"existing"}),
    ):
        with pytest.raises(InvalidInputError) as caught:
            attempt()
        assert {fault.field for fault in caught.value.faults} == wrong | more
    assert api.world.provisioning.messages == []
    assert manage.page(100, None).items == before
    assert "load_balancer_" not in json.dumps(api("GET", "/events").json_body)
