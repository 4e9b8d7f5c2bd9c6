"""The life of an ALB that AutoStop makes, and of its part of one that is the user's: real requests, real policies.

The cloud is MiniStack with what it lacks of Elastic Load Balancing (`alb_cloud` says what). That an idle rule is
diverted and stopped is not played here: what an ALB's metrics prove ends two minutes before now, and what they prove
after the diversion is as late, so that it takes seven minutes. The unit tests play it with a clock of their own.
"""

from __future__ import annotations

import json
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


def ruled(world: AlbWorld, alb: Alb, **more: object) -> str:
    created = world.ask("POST", "/rules", world.rule(alb.id, **more))
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
    answered: set[int] = set()

    def arrived() -> bool:
        answered.add(world.get(alb.name, "/shop?x=1").status_code)
        return 200 in answered

    world.wait("the site, for who asks again and again", arrived, 45, answered)
    assert answered == {503, 200}, "the page until the site is there, and never an error of the ALB's own"
    weights(instances=100, function=0)
    told = world.ask("GET", f"/rules/{rule}/events").json()["items"]
    assert any("traffic" in json.dumps(one) and one["action"] == "start" for one in told), told
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
    rule = ruled(world, alb, http=[world.route("/admin/*"), world.route()])

    def ours() -> list[dict[str, Any]]:
        found = [each for each in world.rules_on(before["ListenerArn"]) if each["RuleArn"] != foreign["RuleArn"]]
        return sorted(found, key=lambda each: int(each["Priority"]))

    admin, rest = world.wait("its listener rules", lambda: len(ours()) == 2 and ours(), 30)
    assert [len(one["Conditions"]) for one in (admin, rest)] == [2, 1]
    assert int(foreign["Priority"]) < int(admin["Priority"])
    tags = {"autostop:load-balancer": alb.id, "autostop:stage": stack.STAGE, "autostop:rule": rule}
    assert [one["Tags"] for one in (admin, rest)] == [tags, tags]
    alb.wait_for("ready")

    def look_again() -> None:
        again = world.ask("PUT", f"/load-balancers/{alb.id}", world.order(existing_arn=theirs))
        assert again.status_code == 200, again.text

    evil = [{"Field": "host-header", "HostHeaderConfig": {"Values": ["evil.alb.test"]}}]
    elb.modify_rule(RuleArn=rest["RuleArn"], Conditions=evil)
    assert world.get("theirs", "/").status_code == 418
    look_again()
    world.wait("it is put back", lambda: ours()[1]["Conditions"] == rest["Conditions"], 30)
    (drift,) = world.wait("the drift is told", alb.drifts, 10)
    assert "was changed by hand; put back: a listener rule had other conditions or another action" in drift
    assert world.get("theirs", "/").status_code in {200, 503}

    alb.wait_for("ready")
    swapped = [(admin, int(rest["Priority"]) + 1), (rest, int(rest["Priority"]))]
    elb.set_rule_priorities(RulePriorities=[{"RuleArn": one["RuleArn"], "Priority": n} for one, n in swapped])
    assert ours()[0]["RuleArn"] == rest["RuleArn"]
    look_again()
    world.wait("their order is put back", lambda: ours()[0]["RuleArn"] == admin["RuleArn"], 30)
    world.wait("that is told, too", lambda: len(alb.drifts()) == 2, 10)
    assert any("had its priorities changed by hand; put back" in words for words in alb.drifts())
    assert world.get("theirs", "/", host="other.alb.test").text == "not AutoStop's"
    assert untouched()

    assert world.ask("DELETE", f"/rules/{rule}?leave=as_is").status_code in {200, 204}
    world.wait("its listener rules are gone", lambda: not ours(), 30)
    assert world.ask("DELETE", f"/load-balancers/{alb.id}").json()["status"] == "deleting"
    alb.wait_for("404")
    assert untouched()
    assert world.rules_on(before["ListenerArn"]) == [foreign]
    assert elb.describe_target_groups()["TargetGroups"] == []
    elb.delete_load_balancer(LoadBalancerArn=theirs)


def test_a_put_gives_it_other_groups_and_tls_and_what_comes_without_is_sent_there(world):
    ec2, acm = world.cloud.client("ec2"), world.cloud.client("acm")
    vpc, (group,) = world.network["vpc_id"], world.network["security_group_ids"]
    more = ec2.create_security_group(VpcId=vpc, GroupName="more", Description="more")["GroupId"]
    certificate = acm.request_certificate(DomainName="*.alb.test", ValidationMethod="DNS")["CertificateArn"]
    alb = made(world)
    arn = alb.wait_for("ready")["arn"]

    wider = world.order(security_group_ids=[group, more], certificate_arn=certificate)
    changed = world.ask("PUT", f"/load-balancers/{alb.id}", wider)
    assert changed.status_code == 200, changed.text

    def ports() -> dict[int, str]:
        return {one["port"]: one["protocol"] for one in alb.wait_for("ready")["listeners"]}

    world.wait("TLS", lambda: ports() == {80: "http", 443: "https"}, 30)
    (standing,) = world.elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"]
    assert set(standing["SecurityGroups"]) == {group, more}
    away = world.get(alb.name, "/shop?x=1")
    assert (away.status_code, away.headers["location"]) == (301, "https://app.alb.test:443/shop?x=1")
    assert world.get(alb.name, "/", host="app.alb.test:443").status_code == 404

    assert world.ask("DELETE", f"/load-balancers/{alb.id}").json()["status"] == "deleting"
    alb.wait_for("404")
    assert world.elb.describe_listeners(LoadBalancerArn=arn)["Listeners"] == []
