"""TLS as people ask for it: certificates of load balancers, rules that are served over them, what proxies say."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from chalicelib.domain.access import Role
from chalicelib.domain.certificates import Certificate, MemberSecrets, SecretReport, covers, warnings
from chalicelib.entrypoints.api.views import stamp
from tests.builders import START

BALANCER = {
    "kind": "proxy",
    "name": "dev proxy",
    "region": "us-east-1",
    "vpc_id": "vpc-1",
    "subnet_ids": ["subnet-1"],
    "security_group_ids": ["sg-1"],
    "existing": True,
}
PATH = "/load-balancers/lb_1"


def arn(name: str) -> str:
    return f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf"


def certificate(*hosts: str, name: str = "tls/app") -> dict:
    key, chain = arn(f"{name}/key"), arn(f"{name}/cert")
    return {"hosts": list(hosts), "certificate_secret_arn": chain, "private_key_secret_arn": key}


def rule(*hosts: str, instance: str = "i-0000000a", **listen) -> dict:
    http = {"hosts": list(hosts), "listen": listen or {"protocol": "https"}, "target": {"port": 8080}}
    resources = {"kind": "ec2", "region": "us-east-1", "instance_ids": [instance]}
    return {"name": "web", "resources": resources, "load_balancer_id": "lb_1", "http": [http]}


def certify(api, *certificates: dict):
    return api("PUT", PATH, BALANCER | {"certificates": list(certificates)})


def fields(answer) -> dict[str, str]:
    assert answer.status_code == 400, answer.body
    return {error["field"]: error["message"] for error in answer.json_body["errors"]}


def config(api) -> tuple[str, dict]:
    answer = api("GET", f"{PATH}/config?member=i-p", role=Role.PROXY)
    return answer.headers["ETag"], json.loads(answer.body)["rules"]


def test_a_load_balancer_answers_its_certificates_and_its_proxies_learn_where_they_lie(api):
    before, part = config(api)
    assert "certificates" not in part
    app = certificate("App.example.com", "*.dev.example.com")
    answer = certify(api, app)
    assert answer.json_body["certificates"] == [app | {"hosts": ["app.example.com", "*.dev.example.com"]}]
    after, part = config(api)
    assert after != before
    assert part["certificates"] == [
        {
            "hosts": ["app.example.com", "*.dev.example.com"],
            "certificate": app["certificate_secret_arn"],
            "private_key": app["private_key_secret_arn"],
        }
    ]
    certify(api, app)
    assert config(api)[0] == after


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("certificates[0].hosts", certificate()),
        ("certificates[0].hosts[0]", certificate("not a host")),
        ("certificates[0].hosts", certificate("a.example.com", "A.example.com")),
        ("certificates[0].certificate_secret_arn", certificate("a.example.com") | {"certificate_secret_arn": "tls"}),
        (
            "certificates[0].private_key_secret_arn",
            certificate("a.example.com") | {"private_key_secret_arn": "-----BEGIN PRIVATE KEY-----"},
        ),
    ],
)
def test_a_wrong_certificate_is_refused_by_its_field(api, field, wrong):
    assert list(fields(certify(api, wrong))) == [field]


def test_no_host_has_two_certificates_and_there_are_at_most_fifty(api):
    twice = fields(certify(api, certificate("a.example.com"), certificate("a.example.com", name="b")))
    assert "a.example.com" in twice["certificates"]
    many = [certificate(f"a{n}.example.com", name=f"n{n}") for n in range(51)]
    assert list(fields(certify(api, *many))) == ["certificates"]
    assert certify(api, *many[:50]).status_code == 200


def test_a_rule_over_https_needs_a_certificate_for_each_of_its_hosts(api):
    certify(api, certificate("app.example.com", "*.dev.example.com"))
    wrong = fields(api("POST", "/rules", rule("app.example.com", "b.a.dev.example.com", "dev.example.com")))
    assert list(wrong) == ["http[0].hosts[1]", "http[0].hosts[2]"]
    assert "b.a.dev.example.com has no certificate on load balancer lb_1" in wrong["http[0].hosts[1]"]
    made = api("POST", "/rules", rule("app.example.com", "a.dev.example.com"))
    assert made.status_code == 201, made.body
    assert made.json_body["http"][0]["listen"] == {"protocol": "https", "port": 443}
    (item,) = (item for item in config(api)[1]["items"] if item["id"] == made.json_body["id"])
    assert item["http"][0] | {"tls": True, "port": 443} == item["http"][0]
    assert len(json.dumps(item, separators=(",", ":"))) <= 300


def test_a_certificate_that_a_rule_needs_stays(api):
    certify(api, certificate("app.example.com"))
    id_ = api("POST", "/rules", rule("app.example.com")).json_body["id"]
    assert id_ in fields(certify(api, certificate("other.example.com")))["certificates"]
    assert certify(api, certificate("*.example.com", name="new")).status_code == 200
    assert api("DELETE", f"/rules/{id_}").status_code == 200
    assert certify(api).status_code == 200


def test_one_port_is_for_http_or_for_https_and_changes_with_the_last_rule_on_it(api):
    certify(api, certificate("*.example.com"))
    plain = {"protocol": "http", "port": 8443}
    secure = {"protocol": "https", "port": 8443}
    id_ = api("POST", "/rules", rule("a.example.com", **plain)).json_body["id"]
    refused = api("POST", "/rules", rule("b.example.com", instance="i-0000000b", **secure))
    assert refused.status_code == 409
    assert "listen port 8443 is used for http by other rules" in refused.json_body["detail"]
    assert api("PUT", f"/rules/{id_}", rule("a.example.com", **secure)).status_code == 200
    assert api("POST", "/rules", rule("b.example.com", instance="i-0000000b", **secure)).status_code == 201
    assert api("PUT", f"/rules/{id_}", rule("a.example.com", **plain)).status_code == 409
    both = rule("a.example.com", **secure)
    both["http"].append({"hosts": ["c.example.com"], "listen": plain, "target": {"port": 80}})
    assert "both http and https" in fields(api("PUT", f"/rules/{id_}", both))["http"]


def report(api, **secret):
    line = {"hosts": ["app.example.com"], "arn": arn("tls/app/cert"), "status": "ok"} | secret
    body = {"member": "i-p", "config": "r1.s1", "rules": [], "secrets": [line]}
    return api("POST", f"{PATH}/report", body, Role.PROXY)


def told(api) -> list[str]:
    """The warnings but for those of the network, which begin with a field's name: there is none here."""
    return [words for words in api("GET", PATH).json_body["warnings"] if "certificate" in words]


def test_what_proxies_say_of_certificates_is_a_warning_until_it_is_well(api):
    assert told(api) == []
    certify(api, certificate("app.example.com"))
    assert told(api) == ["No proxy has reported the certificate of app.example.com in the last 3 hours."]
    assert report(api, status="invalid", detail="the key is not the certificate's").status_code == 204
    words = "i-p says that the certificate of app.example.com is invalid: the key is not the certificate's."
    assert told(api) == [words]
    assert api("GET", "/load-balancers").json_body["items"][0]["warnings"] == [words]
    assert api("POST", f"{PATH}/report", {"member": "i-p", "config": "r1.s1"}, Role.PROXY).status_code == 204
    assert told(api) == [words]
    assert report(api, not_after=stamp(api.world.clock.now() + timedelta(days=60))).status_code == 204
    assert told(api) == []
    api.world.clock.advance(timedelta(days=50))
    report(api, not_after=stamp(api.world.clock.now() + timedelta(days=10)))
    assert "expires at" in told(api)[0]


@pytest.mark.parametrize("wrong", [{"status": "fine"}, {"arn": 3}, {"private_key": "x"}, {"not_after": "soon"}])
def test_a_report_of_certificates_that_is_none_is_refused(api, wrong):
    assert report(api, **wrong).status_code == 400


def test_a_wildcard_covers_one_label_as_browsers_have_it():
    found = [Certificate(("*.example.com", "x.org"), "c", "k")]
    assert [covers(found, host) for host in ("a.example.com", "*.example.com", "x.org")] == [True] * 3
    assert [covers(found, host) for host in ("example.com", "a.b.example.com", "*.x.org", "org")] == [False] * 4


def test_who_has_not_told_for_hours_is_forgotten_and_others_certificates_are_no_warning():
    pair = Certificate(("a.example.com",), "c", "k")
    bad = MemberSecrets("i-1", START, (SecretReport("c", "missing"), SecretReport("other", "expired")))
    assert [words for words in warnings([pair], [bad], START) if "missing" in words]
    assert len(warnings([pair], [bad], START)) == 1
    assert "No proxy" in warnings([pair], [bad], START + timedelta(hours=4))[0]
    stuck = MemberSecrets("i-1", START, (SecretReport("c", "ok", START + timedelta(days=80), "AccessDenied"),))
    assert "cannot ask for a newer one: AccessDenied" in warnings([pair], [stuck], START)[0]
