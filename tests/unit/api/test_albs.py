"""ALBs through the API: checked against the account, ordered, shown, changed, and rules on them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib import __version__
from chalicelib.domain.access import Role
from chalicelib.domain.alb_seen import Forward, OtherAction, Quotas, SeenCertificate, SeenListener, SeenRule, SeenZone
from chalicelib.domain.albs import MadeAlb, MadeListener
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.network import Subnet
from tests.unit.api.test_api import BALANCER, RULE

REGION = "us-east-1"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/c-1"
EXISTING = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/theirs/50dc6c495c0c9188"
ALB = {
    "kind": "alb",
    "name": "dev alb",
    "region": REGION,
    "scheme": "internal",
    "vpc_id": "vpc-1",
    "subnet_ids": ["subnet-1", "subnet-2"],
    "security_group_ids": ["sg-1"],
    "certificate_arn": None,
    "domain": "*.autostop.example.com",
    "hosted_zone_id": None,
    "existing_arn": None,
}


@pytest.fixture(autouse=True)
def known(api):
    api.network.add_vpc(REGION, "vpc-1", "10.1.0.0/16")
    api.network.add_vpc(REGION, "vpc-2", "10.2.0.0/16")
    for n, zone in enumerate("ab", 1):
        api.network.add_subnet(REGION, Subnet(f"subnet-{n}", "vpc-1", f"{REGION}{zone}"))
    api.network.add_subnet(REGION, Subnet("subnet-3", "vpc-1", f"{REGION}a"))
    api.network.add_group(REGION, "sg-1", "vpc-1")
    account = api.albs.account
    account.certificates[CERTIFICATE] = SeenCertificate("ISSUED", ("*.autostop.example.com",))
    account.zones["Z1"] = SeenZone("example.com")
    return account


def create(api, **changes):
    answer = api("POST", "/load-balancers", ALB | changes)
    assert answer.status_code == 201, answer.body
    return answer.json_body


def faults(answer):
    assert answer.status_code == 400, answer.body
    return {error["field"]: error["message"] for error in answer.json_body["errors"]}


def stand(api, id_, **made):
    """What the worker would have noted."""
    balancer = api.world.stores.balancers.get(id_)
    alb = MadeAlb("arn:alb", "as-lb-1.elb.amazonaws.com", "ZELB", (MadeListener("arn:l", 80, "http"),))
    api.world.stores.provisions.put(balancer, replace(balancer.provision, alb=replace(alb, **made)))


class TestOrdering:
    def test_one_that_is_ordered_is_creating_and_the_worker_has_word_of_it(self, api):
        theme = {"title": "Dev", "logo_url": "https://example.com/l.svg", "colour": "#0f5132", "text": "Hello"}
        logs = {"bucket": "my-logs", "prefix": "albs/dev"}
        made = create(api, certificate_arn=CERTIFICATE, theme=theme, access_logs=logs)
        assert made["access_logs"] == logs
        assert (made["kind"], made["status"], made["dns_name"], made["cname"]) == ("alb", "creating", None, None)
        assert {name: made[name] for name in ALB} == ALB | {"certificate_arn": CERTIFICATE}
        assert made["theme"] == theme
        assert [id_ for _, id_, _ in api.world.provisioning.messages] == [made["id"]]
        assert api("GET", f"/load-balancers/{made['id']}", role=Role.VIEWER).json_body == made
        listed = {item["id"]: item["kind"] for item in api("GET", "/load-balancers").json_body["items"]}
        assert listed == {made["id"]: "alb", "lb_1": "proxy"}

    def test_the_record_to_add_is_shown_to_the_letter_where_there_is_no_zone(self, api):
        id_ = create(api)["id"]
        stand(api, id_)
        assert api("GET", f"/load-balancers/{id_}").json_body["cname"] == {
            "name": "*.autostop.example.com",
            "type": "CNAME",
            "value": "as-lb-1.elb.amazonaws.com",
            "ttl": 300,
            "text": "*.autostop.example.com. 300 IN CNAME as-lb-1.elb.amazonaws.com.",
        }
        ours = create(api, hosted_zone_id="Z1")["id"]
        stand(api, ours)
        assert api("GET", f"/load-balancers/{ours}").json_body["cname"] is None

    def test_the_running_version_of_the_function_is_shown(self, api):
        id_ = create(api)["id"]
        shown = api("GET", f"/load-balancers/{id_}").json_body["function"]
        assert (shown["version"], shown["code_sha256"]) == (__version__, "abc")
        api.albs.check.own = None
        assert api("GET", f"/load-balancers/{id_}").json_body["function"]["version"] is None
        api.albs.function.fail_next.append(CloudError("AccessDenied", "no"))
        assert api("GET", f"/load-balancers/{id_}").json_body["function"] is None

    def test_deleting_takes_time_and_says_so(self, api):
        path = f"/load-balancers/{create(api)['id']}"
        assert api("DELETE", path).json_body["status"] == "deleting"

    def test_a_key_of_it_cannot_be_renewed(self, api):
        assert api("POST", f"/load-balancers/{create(api)['id']}/renew-key").status_code == 409

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"scheme": "public"}, "scheme"),
            ({"domain": "https://x"}, "domain"),
            ({"certificate_arn": "arn:x"}, "certificate_arn"),
            ({"hosted_zone_id": "z"}, "hosted_zone_id"),
            ({"existing_arn": "arn:x"}, "existing_arn"),
            ({"machine_type": "t3.micro"}, "machine_type"),
            ({"theme": {"colour": "red"}}, "theme.colour"),
            ({"access_logs": {"bucket": "No_Bucket"}}, "access_logs.bucket"),
            ({"access_logs": {"bucket": "logs", "prefix": "/x"}}, "access_logs.prefix"),
            ({"access_logs": {"bucket": "logs", "prefix": "my/AWSLogs"}}, "access_logs.prefix"),
            ({"theme": {"logo_url": "javascript:alert(1)"}}, "theme.logo_url"),
            ({"theme": {"logo_url": 'https://x/"><script>'}}, "theme.logo_url"),
        ],
    )
    def test_what_makes_no_sense_is_refused_by_name(self, api, change, field):
        assert set(faults(api("POST", "/load-balancers", ALB | change))) == {field}

    def test_all_faults_are_named_at_once_and_nothing_is_stored(self, api):
        wrong = ALB | {"vpc_id": "vpc-9", "subnet_ids": ["subnet-9"], "hosted_zone_id": "Z9", "security_group_ids": []}
        found = faults(api("POST", "/load-balancers", wrong | {"certificate_arn": CERTIFICATE[:-1] + "9"}))
        assert set(found) == {"vpc_id", "subnet_ids[0]", "security_group_ids", "hosted_zone_id", "certificate_arn"}
        assert api.world.provisioning.messages == []

    def test_the_models_of_both_kinds_are_in_the_openapi_document(self, api):
        document = api("GET", "/openapi.json", role=None).json_body
        body = document["paths"]["/load-balancers"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert body["discriminator"]["mapping"]["alb"] == "#/components/schemas/AlbBody"
        assert "AlbBody" in document["components"]["schemas"]


class TestChecks:
    @pytest.mark.parametrize(
        ("change", "field", "words"),
        [
            ({"region": "eu-central-1"}, "region", "is not us-east-1"),
            ({"subnet_ids": ["subnet-1", "subnet-3"]}, "subnet_ids", "at least two zones, and name only us-east-1a"),
            ({"scheme": "internet-facing"}, "subnet_ids[1]", "no route to an internet gateway"),
            ({"certificate_arn": CERTIFICATE.replace("us-east-1", "eu-west-1")}, "certificate_arn", "is in eu-west-1"),
            ({"domain": "*.other.org", "hosted_zone_id": "Z1"}, "hosted_zone_id", "is the zone of example.com"),
            ({"existing_arn": EXISTING}, "existing_arn", "there is no such load balancer"),
            ({"existing_arn": EXISTING.replace("us-east-1", "eu-west-1")}, "existing_arn", "is in eu-west-1, not in"),
        ],
    )
    def test_what_does_not_fit_the_account_is_said(self, api, change, field, words):
        api.albs.account.public.add("subnet-1")
        found = faults(api("POST", "/load-balancers", ALB | change))
        assert set(found) == {field}
        assert words in found[field]

    @pytest.mark.parametrize(
        ("certificate", "words"),
        [
            (SeenCertificate("PENDING_VALIDATION", ("*.autostop.example.com",)), "is PENDING_VALIDATION"),
            (SeenCertificate("ISSUED", ("*.example.com",)), "does not cover *.autostop.example.com"),
        ],
    )
    def test_a_certificate_must_be_issued_and_cover_the_domain(self, api, known, certificate, words):
        known.certificates[CERTIFICATE] = certificate
        found = faults(api("POST", "/load-balancers", ALB | {"certificate_arn": CERTIFICATE}))
        assert words in found["certificate_arn"]

    def test_a_certificate_must_not_have_expired(self, api, known):
        old = api.world.clock.now() - timedelta(days=1)
        known.certificates[CERTIFICATE] = SeenCertificate("ISSUED", ("*.autostop.example.com",), old)
        found = faults(api("POST", "/load-balancers", ALB | {"certificate_arn": CERTIFICATE}))
        assert "expired at" in found["certificate_arn"]

    def test_a_private_zone_must_be_for_the_vpc(self, api, known):
        known.zones["Z1"] = SeenZone("example.com", private=True, vpc_ids=frozenset({"vpc-2"}))
        assert (
            "not for vpc-1" in faults(api("POST", "/load-balancers", ALB | {"hosted_zone_id": "Z1"}))["hosted_zone_id"]
        )

    def test_an_account_that_does_not_answer_is_no_account_that_has_nothing(self, api, known):
        known.fail_next.append(ThrottledError("Throttling", "Rate exceeded"))
        found = faults(api("POST", "/load-balancers", ALB | {"hosted_zone_id": "Z1"}))
        assert found == {"hosted_zone_id": "could not be looked at: Throttling: Rate exceeded"}

    def test_public_subnets_are_enough_for_internet_facing(self, api, known):
        known.public |= {"subnet-1", "subnet-2"}
        assert create(api, scheme="internet-facing")["scheme"] == "internet-facing"

    @pytest.mark.parametrize(
        ("changes", "field", "words"),
        [
            ({"vpc_id": "vpc-2"}, "existing_arn", "is in vpc-2, not in vpc-1"),
            ({"kind": "network"}, "existing_arn", "is a network load balancer"),
            ({"scheme": "internet-facing"}, "scheme", "is internet-facing"),
            ({"listener": False}, "existing_arn", "has no HTTP or HTTPS listener"),
        ],
    )
    def test_an_existing_one_must_fit(self, api, changes, field, words):
        listener = changes.get("listener", True)
        api.albs.elb.add_alb(
            EXISTING,
            changes.get("vpc_id", "vpc-1"),
            changes.get("scheme", "internal"),
            changes.get("kind", "application"),
        )
        if listener:
            api.albs.elb.add_listener(EXISTING, SeenListener("arn:l", 80, "http", OtherAction()))
        body = ALB | {"existing_arn": EXISTING, "subnet_ids": [], "security_group_ids": []}
        found = faults(api("POST", "/load-balancers", body))
        assert set(found) == {field}
        assert words in found[field]


class TestChanging:
    def test_what_it_was_made_with_cannot_be_changed(self, api, known):
        known.public |= {"subnet-1", "subnet-2"}
        path = f"/load-balancers/{create(api)['id']}"
        assert set(faults(api("PUT", path, ALB | {"scheme": "internet-facing"}))) == {"scheme"}
        assert set(faults(api("PUT", path, BALANCER))) >= {"kind"}
        assert set(faults(api("PUT", "/load-balancers/lb_1", ALB))) == {"kind"}

    def test_name_theme_certificate_and_domain_can(self, api):
        path = f"/load-balancers/{create(api)['id']}"
        changed = api("PUT", path, ALB | {"name": "new", "certificate_arn": CERTIFICATE, "theme": {"title": "New"}})
        assert changed.status_code == 200, changed.body
        assert (changed.json_body["name"], changed.json_body["theme"]["title"]) == ("new", "New")
        assert changed.json_body["version"] == 2

    def test_a_certificate_that_rules_need_cannot_be_taken_away(self, api):
        id_ = create(api, certificate_arn=CERTIFICATE)["id"]
        route = {
            "hosts": ["a.autostop.example.com"],
            "listen": {"protocol": "https"},
            "target": {"protocol": "http", "port": 80},
        }
        rule = api("POST", "/rules", on(id_, http=[route]))
        assert rule.status_code == 201, rule.body
        found = faults(api("PUT", f"/load-balancers/{id_}", ALB))
        assert rule.json_body["id"] in found["certificate_arn"]


def on(id_, **changes):
    route = {"hosts": ["a.autostop.example.com"], "target": {"protocol": "http", "port": 8080}}
    return RULE | {"load_balancer_id": id_, "tcp": [], "http": [route], "health_check": None} | changes


def route(**changes):
    return {"hosts": ["a.autostop.example.com"], "target": {"protocol": "http", "port": 8080}} | changes


class TestRules:
    def test_a_rule_made_changed_or_deleted_is_put_at_once(self, api):
        id_ = create(api)["id"]
        queue = api.world.provisioning
        queue.messages.clear()
        made = api("POST", "/rules", on(id_))
        assert made.status_code == 201, made.body
        path = f"/rules/{made.json_body['id']}"
        assert api("PUT", path, on(id_, name="other")).status_code == 200
        assert api("DELETE", path).status_code == 200
        assert [(sent, at_once) for _, sent, at_once in queue.messages] == [(id_, True)] * 3

    def test_one_that_moves_away_is_taken_off(self, api):
        id_, other = create(api)["id"], create(api)["id"]
        made = api("POST", "/rules", on(id_)).json_body
        api.world.provisioning.messages.clear()
        assert api("PUT", f"/rules/{made['id']}", on(other)).status_code == 200
        assert {sent for _, sent, _ in api.world.provisioning.messages} == {id_, other}

    def test_how_many_listener_rules_it_needs_is_shown(self, api):
        id_ = create(api)["id"]
        hosts = [f"h{n}.autostop.example.com" for n in range(6)]
        made = api("POST", "/rules", on(id_, http=[route(hosts=hosts)])).json_body
        shown = api("GET", f"/load-balancers/{id_}").json_body["listener_rules"]
        assert shown == {"total": 2, "by_rule": {made["id"]: 2}}

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"tcp": [{"protocol": "ssh", "target_port": 22}]}, "tcp"),
            ({"http": [route(listen={"protocol": "https"})]}, "http[0].listen"),
            ({"http": [route(listen={"protocol": "http", "port": 8080})]}, "http[0].listen"),
            ({"http": [route(target={"protocol": "grpc", "port": 1})]}, "http[0].target.protocol"),
            ({"http": [route(), route(paths=["/x"], target={"protocol": "http", "port": 1})]}, "http"),
            ({"http": [route(paths=["/a?b"])]}, "http[0].paths[0]"),
            ({"health_check": {"protocol": "tcp", "port": 80}}, "health_check.protocol"),
            ({"health_check": {"protocol": "http", "port": 80, "status": [200, 599]}}, "health_check.status"),
            (
                {"health_check": {"protocol": "http", "port": 80, "interval_seconds": 4, "timeout_seconds": 2}},
                "health_check.interval_seconds",
            ),
            (
                {"health_check": {"protocol": "http", "port": 80, "timeout_seconds": 1}},
                "health_check.timeout_seconds",
            ),
        ],
    )
    def test_what_an_alb_cannot_carry_is_refused_by_name(self, api, changes, field):
        assert set(faults(api("POST", "/rules", on(create(api)["id"], **changes)))) == {field}

    def test_the_quota_is_said_in_numbers(self, api, known):
        known.limits = Quotas(rules=2, target_groups=100)
        id_ = create(api)["id"]
        hosts = [f"h{n}.autostop.example.com" for n in range(11)]
        words = faults(api("POST", "/rules", on(id_, http=[route(hosts=hosts)])))["http"]
        assert "needs 3 listener rules" in words
        assert f"{id_} may have 2" in words
        known.limits = Quotas(rules=100, target_groups=1)
        assert "may have 1" in faults(api("POST", "/rules", on(id_)))["http"]

    def test_a_host_and_path_of_another_rule_is_refused_with_its_id(self, api):
        id_ = create(api)["id"]
        first = api("POST", "/rules", on(id_)).json_body
        other = on(id_) | {"resources": RULE["resources"] | {"instance_ids": ["i-0000000b"]}}
        again = api("POST", "/rules", other)
        assert again.status_code == 409
        assert first["id"] in json.dumps(again.json_body)

    def test_a_foreign_rule_that_comes_before_and_takes_all_is_refused_with_its_arn(self, api):
        elb = api.albs.elb
        elb.add_alb(EXISTING, "vpc-1")
        elb.add_listener(EXISTING, SeenListener("arn:l", 80, "http", OtherAction()))
        theirs = Forward((("arn:g", 1),))
        elb.rules["arn:r"] = SeenRule("arn:r", "arn:l", 7, theirs, frozenset({"*.autostop.example.com"}))
        id_ = create(api, existing_arn=EXISTING, subnet_ids=[], security_group_ids=[])["id"]
        words = faults(api("POST", "/rules", on(id_)))["http"]
        assert "a.autostop.example.com/* would never be reached: arn:r (priority 7)" in words
        elb.rules["arn:r"] = replace(elb.rules["arn:r"], hosts=frozenset({"b.autostop.example.com"}))
        assert api("POST", "/rules", on(id_)).status_code == 201

    def test_listeners_that_could_not_be_looked_at_are_no_listeners_that_are_not_there(self, api, known):
        api.albs.elb.add_alb(EXISTING, "vpc-1")
        api.albs.elb.add_listener(EXISTING, SeenListener("arn:l", 80, "http", OtherAction()))
        id_ = create(api, existing_arn=EXISTING, subnet_ids=[], security_group_ids=[])["id"]
        known.fail_next.append(ThrottledError("Throttling", "Rate exceeded"))
        assert "could not be looked at" in faults(api("POST", "/rules", on(id_)))["load_balancer_id"]


class TestDns:
    def check(self, api, id_, role=Role.OPERATOR):
        return api("POST", f"/load-balancers/{id_}/check-dns", role=role)

    def test_names_under_the_domain_must_lead_to_the_alb(self, api):
        id_ = create(api)["id"]
        assert self.check(api, id_).status_code == 409
        stand(api, id_)
        names = api.albs.resolver.names
        assert "has no address yet" in self.check(api, id_).json_body["words"]
        names["as-lb-1.elb.amazonaws.com"] = frozenset({"10.1.0.4", "10.1.1.4"})
        answer = self.check(api, id_).json_body
        assert (answer["ok"], answer["addresses"]) == (False, [])
        assert "add the record `*.autostop.example.com. 300 IN CNAME as-lb-1.elb.amazonaws.com.`" in answer["words"]
        names["*.autostop.example.com"] = frozenset({"192.0.2.1"})
        assert "leads to 192.0.2.1, not to" in self.check(api, id_).json_body["words"]
        names["*.autostop.example.com"] = frozenset({"10.1.0.4"})
        answer = self.check(api, id_).json_body
        assert answer["ok"]
        assert answer["name"].endswith(".autostop.example.com")

    def test_no_cache_can_answer_twice(self, api):
        id_ = create(api)["id"]
        stand(api, id_)
        assert self.check(api, id_).json_body["name"] != self.check(api, id_).json_body["name"]

    def test_a_proxy_has_none_and_viewers_may_not(self, api):
        assert self.check(api, "lb_1").status_code == 409
        assert self.check(api, "lb_none").status_code == 404
        assert self.check(api, "lb_1", Role.VIEWER).status_code == 403
