"""Proxies that AutoStop makes, through the API: ordered, looked at, changed, renewed, deleted."""

from __future__ import annotations

import pytest

from chalicelib.domain.access import Role
from chalicelib.domain.network import Subnet
from tests.unit.api.test_api import BALANCER, RULE

REGION = "us-east-1"
WANTED = BALANCER | {"existing": False}


@pytest.fixture
def known(api, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    api.network.add_vpc(REGION, "vpc-1", "10.1.0.0/16")
    api.network.add_subnet(REGION, Subnet("subnet-1", "vpc-1", f"{REGION}a"))
    api.network.add_group(REGION, "sg-1", "vpc-1")
    api.network.offers.add(("t3.micro", f"{REGION}a"))
    # An address that the worker can tell the machine; Chalice's test client has no API Gateway.
    monkeypatch.setattr("chalicelib.entrypoints.api.balancers.own_url", lambda *_: "https://api.example.com/api")
    return api.network


def order(api, **changes):
    answer = api("POST", "/load-balancers", WANTED | changes)
    assert answer.status_code == 201, answer.body
    return answer.json_body


@pytest.mark.usefixtures("known")
def test_one_that_is_ordered_is_creating_and_the_worker_has_word_of_it(api):
    made = order(api, static_ip=True, open_ports=True, api_key_days=365)
    assert (made["status"], made["status_reason"]) == ("creating", "Waiting for the worker.")
    assert (made["instance_id"], made["private_ip"], made["public_ip"]) == (None, None, None)
    assert (made["open_ports"], made["api_key_days"]) == (True, 365)
    assert [id_ for _, id_, _ in api.world.provisioning.messages] == [made["id"]]
    assert api("GET", f"/load-balancers/{made['id']}", role=Role.VIEWER).json_body["status"] == "creating"


@pytest.mark.usefixtures("known")
def test_the_same_request_again_orders_no_second_one(api):
    first = api("POST", "/load-balancers", WANTED, Idempotency_Key="k").json_body
    again = api("POST", "/load-balancers", WANTED, Idempotency_Key="k").json_body
    assert again["id"] == first["id"]
    listed = [item["id"] for item in api("GET", "/load-balancers").json_body["items"]]
    assert listed.count(first["id"]) == 1
    assert len(listed) == 2  # and lb_1 of the fixture


def test_what_the_account_does_not_have_is_refused_and_no_worker_hears_of_it(api):
    answer = api("POST", "/load-balancers", WANTED)
    assert answer.status_code == 400
    assert {error["field"] for error in answer.json_body["errors"]} == {
        "vpc_id",
        "subnet_ids[0]",
        "security_group_ids[0]",
        "machine_type",
    }
    assert api.world.provisioning.messages == []


@pytest.mark.usefixtures("known")
def test_deleting_one_takes_time_and_says_so(api):
    path = f"/load-balancers/{order(api)['id']}"
    answer = api("DELETE", path)
    assert (answer.status_code, answer.json_body["status"]) == (200, "deleting")
    assert api("GET", path).json_body["status"] == "deleting"
    assert api("PUT", path, WANTED | {"name": "x"}).status_code == 400
    refused = api("POST", "/rules", RULE | {"load_balancer_id": path.rsplit("/", 1)[1]})
    assert refused.status_code in {400, 404, 409}


@pytest.mark.usefixtures("known")
def test_its_key_can_be_renewed_by_admins_only(api):
    path = f"/load-balancers/{order(api)['id']}/renew-key"
    assert api("POST", path, role=Role.OPERATOR).status_code == 403
    assert api("POST", path).status_code == 202
    assert api("POST", "/load-balancers/lb_1/renew-key").status_code == 409
    assert api("POST", "/load-balancers/lb_none/renew-key").status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"existing": True, "open_ports": True}, "open_ports"),
        ({"existing": True, "api_key_days": 30}, "api_key_days"),
        ({"api_key_days": 0}, "api_key_days"),
        ({"api_key_days": "many"}, "api_key_days"),
        ({"open_ports": "yes"}, "open_ports"),
    ],
)
@pytest.mark.usefixtures("known")
def test_what_makes_no_sense_is_refused_by_name(api, change, field):
    answer = api("POST", "/load-balancers", WANTED | change)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json_body["errors"]] == [field]


@pytest.mark.usefixtures("known")
def test_a_rule_on_one_that_opens_its_ports_has_them_opened(api):
    id_ = order(api, open_ports=True)["id"]
    api.world.provisioning.messages.clear()
    answer = api("POST", "/rules", RULE | {"load_balancer_id": id_})
    assert answer.status_code == 201, answer.body
    assert [(sent, at_once) for _, sent, at_once in api.world.provisioning.messages] == [(id_, True)]
