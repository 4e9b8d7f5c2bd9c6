"""The life of an ALB that AutoStop makes, and of its part of one that is the user's: real requests, real policies.

The cloud is MiniStack with what it lacks of Elastic Load Balancing (`alb_cloud` says what). That an idle rule is
diverted and stopped is not played here: what an ALB's metrics prove ends two minutes before now, and what they prove
after the diversion two more, which is too long for a test. The unit tests play it with a clock of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from scripts.local import stack
from tests.e2e.alb_world import PORT, AlbWorld

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = AlbWorld(tmp_path_factory.mktemp("albs"))
    try:
        world.set_up()
        yield world
    finally:
        world.end()


@dataclass
class Alb:
    """One load balancer, as its people see it."""

    world: AlbWorld
    id: str

    @property
    def name(self) -> str:
        return group_of(self.id)

    def wait_for(self, status: str) -> dict[str, Any]:
        last: list[object] = []

        def found() -> dict[str, Any] | None:
            answer = self.world.ask("GET", f"/load-balancers/{self.id}")
            seen = answer.json() if answer.status_code == 200 else {"status": str(answer.status_code)}
            last[:] = [seen["status"], seen.get("status_reason")]
            assert seen["status"] in {status, "creating", "deleting", "ready"}, last
            return seen if seen["status"] == status else None

        at_last: dict[str, Any] = self.world.wait(f"{self.id} {status}", found, 45, last)
        return at_last

    def drifts(self) -> list[str]:
        events = self.world.ask("GET", "/events?limit=100").json()["items"]
        return [one["words"] for one in events if one["kind"] == "load_balancer_drift"]


def group_of(id_: str) -> str:
    return f"as-{id_.replace('_', '-')}"


def made(world: AlbWorld, **more: object) -> Alb:
    created = world.ask("POST", "/load-balancers", world.order(**more))
    assert created.status_code == 201, created.text
    assert created.json()["status"] == "creating"
    return Alb(world, created.json()["id"])


def ruled(world: AlbWorld, alb: Alb) -> str:
    created = world.ask("POST", "/rules", world.rule(alb.id))
    assert created.status_code == 201, created.text
    id_: str = created.json()["id"]
    return id_


def foreign_rule(world: AlbWorld, listener: str) -> dict[str, Any]:
    """Somebody else's, as it is described."""
    answer = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": "not AutoStop's"}
    created = world.elb.create_rule(
        ListenerArn=listener,
        Priority=7,
        Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": ["other.alb.test"]}}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": answer}],
        Tags=[{"Key": "owner", "Value": "somebody"}],
    )
    return next(one for one in world.rules_on(listener) if one["RuleArn"] == created["Rules"][0]["RuleArn"])


def alias(world: AlbWorld) -> list[str]:
    found = world.cloud.client("route53").list_resource_record_sets(HostedZoneId=world.zone_id)["ResourceRecordSets"]
    return [f"{one['Name']} {one['AliasTarget']['DNSName']}" for one in found if one["Type"] == "A"]


def test_an_alb_is_made_wakes_what_is_asked_for_and_goes_with_all_that_was_made_for_it(world):
    alb = made(world, hosted_zone_id=world.zone_id)
    ready = alb.wait_for("ready")
    (standing,) = world.elb.describe_load_balancers(LoadBalancerArns=[ready["arn"]])["LoadBalancers"]
    assert (standing["LoadBalancerName"], standing["Scheme"]) == (alb.name, "internal")
    assert {zone["SubnetId"] for zone in standing["AvailabilityZones"]} == set(world.network["subnet_ids"])
    assert ready["dns_name"] == standing["DNSName"]
    assert [(one["protocol"], one["port"]) for one in ready["listeners"]] == [("http", 80)]
    assert [record.rstrip(".") for record in alias(world)] == [f"\\052.alb.test. {standing['DNSName']}"]
    nothing = world.get(alb.name, "/", host="nothing.alb.test")
    assert (nothing.status_code, nothing.headers["content-type"]) == (404, "text/html")

    listener = world.listener(ready["arn"])
    rule, function = ruled(world, alb), group_of(alb.id)
    instances = group_of(rule)
    last: list[object] = []

    def weights(**wanted: int) -> None:
        def found() -> bool:
            last[:] = [world.weights(listener, rule)]
            return last[0] == {instances: wanted["instances"], function: wanted["function"]}

        world.wait(f"weights {wanted}", found, 45, last)

    weights(instances=0, function=100)
    assert world.state() == "stopped"
    page = world.get(alb.name, "/shop?x=1")
    assert (page.status_code, page.headers["retry-after"], page.headers["cache-control"]) == (503, "2", "no-store")
    assert "app.alb.test is starting" in page.text

    weights(instances=100, function=0)
    (group,) = world.elb.describe_target_groups(Names=[instances])["TargetGroups"]
    checked = world.elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    assert [(one["Target"]["Port"], one["TargetHealth"]["State"]) for one in checked] == [(PORT, "healthy")]
    site = world.get(alb.name, "/shop?x=1")
    assert (site.status_code, site.text.split()[-3:]) == (200, ["from", world.instance_id, "/shop"])

    assert world.ask("DELETE", f"/rules/{rule}?leave=as_is").status_code in {200, 204}
    world.wait("its listener rule is gone", lambda: not world.rules_on(listener), 30)
    assert world.ask("DELETE", f"/load-balancers/{alb.id}").json() == {"id": alb.id, "status": "deleting"}
    alb.wait_for("404")
    assert world.elb.describe_load_balancers()["LoadBalancers"] == []
    assert world.elb.describe_target_groups()["TargetGroups"] == []
    assert alias(world) == []
    assert alb.drifts() == []


def test_on_an_alb_of_the_users_own_only_what_is_ours_is_made_put_back_and_taken_away(world):
    elb = world.elb
    theirs = elb.create_load_balancer(
        Name="theirs",
        Scheme="internal",
        Subnets=world.network["subnet_ids"],
        SecurityGroups=world.network["security_group_ids"],
    )["LoadBalancers"][0]["LoadBalancerArn"]
    answer = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "418", "ContentType": "text/plain"}}
    listener = elb.create_listener(LoadBalancerArn=theirs, Port=80, Protocol="HTTP", DefaultActions=[answer])
    before = listener["Listeners"][0]
    foreign = foreign_rule(world, before["ListenerArn"])

    def untouched() -> bool:
        now = elb.describe_listeners(LoadBalancerArn=theirs)["Listeners"]
        return now == [before] and foreign in world.rules_on(before["ListenerArn"])

    alb = made(world, existing_arn=theirs)
    ready = alb.wait_for("ready")
    assert (ready["cname"]["name"], ready["cname"]["value"]) == ("*.alb.test", ready["dns_name"])
    rule = ruled(world, alb)
    ours = world.wait(
        "its listener rule", lambda: [r for r in world.rules_on(before["ListenerArn"]) if r != foreign], 30
    )
    (one,) = ours
    assert one["Tags"] == {"autostop:load-balancer": alb.id, "autostop:stage": stack.STAGE, "autostop:rule": rule}
    alb.wait_for("ready")

    evil = [{"Field": "host-header", "HostHeaderConfig": {"Values": ["evil.alb.test"]}}]
    elb.modify_rule(RuleArn=one["RuleArn"], Conditions=evil)
    assert world.get("theirs", "/").status_code == 418
    again = world.ask("PUT", f"/load-balancers/{alb.id}", world.order(existing_arn=theirs))
    assert again.status_code == 200, again.text

    def put_back() -> bool:
        now = {each["RuleArn"]: each for each in world.rules_on(before["ListenerArn"])}
        return bool(now[one["RuleArn"]]["Conditions"] == one["Conditions"])

    world.wait("it is put back", put_back, 30)
    (drift,) = world.wait("the drift is told", alb.drifts, 10)
    assert "was changed by hand; put back: a listener rule had other conditions or another action" in drift
    assert world.get("theirs", "/").status_code in {200, 503}
    assert world.get("theirs", "/", host="other.alb.test").text == "not AutoStop's"
    assert untouched()

    assert world.ask("DELETE", f"/rules/{rule}?leave=as_is").status_code in {200, 204}
    world.wait("its listener rule is gone", lambda: world.rules_on(before["ListenerArn"]) == [foreign], 30)
    assert world.ask("DELETE", f"/load-balancers/{alb.id}").json()["status"] == "deleting"
    alb.wait_for("404")
    assert untouched()
    assert elb.describe_target_groups()["TargetGroups"] == []
    assert alb.drifts() == [drift]
