"""The public contract, through Chalice, on stores in memory."""

from __future__ import annotations

import copy
import json

import pytest
from pydantic import ValidationError

from chalicelib.domain.access import Role
from chalicelib.domain.errors import CloudError
from chalicelib.domain.resources import Connector, Protection
from chalicelib.entrypoints.api.route_models import HttpBody, ListenBody

RULE = {
    "name": "staging web",
    "idle_minutes": 15,
    "resources": {"kind": "ec2", "region": "us-east-1", "instance_ids": ["i-0000000a"]},
    "load_balancer_id": "lb_1",
    "http": [{"hosts": ["web.example.com"], "target": {"port": 8080}}],
    "tcp": [{"protocol": "ssh", "target_port": 22}],
    "health_check": {"protocol": "http", "port": 8080},
}
NEEDS = {
    "depends_on": [{"rule_id": "ru_1"}],
    "guards": [{"metric": "cpu", "above_percent": 20, "for_minutes": 10}],
    "connector": {"role_arn": "arn:aws:iam::210987654321:role/autostop-access", "external_id": "e1"},
}
MOVED = {"hosts": ["old.example.com"], "action": "redirect"}
BALANCER = {
    "kind": "proxy",
    "name": "dev proxy",
    "region": "us-east-1",
    "vpc_id": "vpc-1",
    "subnet_ids": ["subnet-1"],
    "security_group_ids": ["sg-1"],
    "existing": True,
}

WRONG = [
    ("name", ""),
    ("enabled", "yes"),
    ("dry_run", 1),
    ("idle_minutes", 0),
    ("idle_minutes", 10081),
    ("idle_minutes", 1.5),
    ("resources.kind", "ecs"),
    ("resources.region", "mars"),
    ("resources.instance_ids", []),
    ("resources.instance_ids[0]", "i_xyz"),
    ("resources.tags", {"aws:env": "staging"}),
    ("resources.when_idle", "sleep"),
    ("connector", {"role_arn": "arn:aws:iam::210987654321:role/autostop-x"}),
    ("connector.role_arn", "arn:aws:iam::210987654321:role/admin"),
    ("connector.external_id", "a b"),
    ("load_balancer_id", 7),
    ("http[0].hosts", []),
    ("http[0].hosts[0]", "not a host"),
    ("http[0].paths", ["x"]),
    ("http[0].listen", {"protocol": "gopher", "port": 443}),
    ("http[0].target.port", 0),
    ("http[0].target", {"protocol": "spdy", "port": 80}),
    ("http[0].action", "reflect"),
    ("tcp[0].protocol", "gopher"),
    ("tcp[0].target_port", 70000),
    ("tcp[0].listen_port", "x"),
    ("tcp[0].wake_on", "moon"),
    ("tcp[0].allow_cidrs", ["10.0.0.1/8"]),
    ("tcp_idle", {"bytes_per_minute": 1}),
    ("start_timeout_minutes", 61),
    ("health_check.protocol", "udp"),
    ("health_check.port", -1),
    ("health_check.timeout_seconds", 0),
    ("while_starting", "dance"),
    ("ignore", {"cidrs": ["10.0.0.0/99"]}),
    ("guards", [{"metric": "cpu"}]),
    ("guards[0].metric", "moon"),
    ("guards[0].for_minutes", 1),
    ("depends_on", [{"rule_id": "x"}]),
    ("depends_on[0]", {"rule_id": "ru_1", "delay_seconds": -1}),
    ("schedule_ids", ["office"]),
    ("on_manual_change", "ignore"),
    ("accept_data_loss", "no"),
    ("hourly_cost", -1),
    ("surprise", 1),
]


def put(body: dict, path: str, value: object) -> None:
    target: object = body
    steps = path.replace("[", ".[").split(".")
    for step in steps[:-1]:
        target = target[int(step[1:-1])] if step.startswith("[") else target[step]
    last = steps[-1]
    if last.startswith("["):
        target[int(last[1:-1])] = value
    else:
        target[last] = value


@pytest.mark.parametrize(("path", "value"), WRONG, ids=[f"{path}={value}" for path, value in WRONG])
def test_each_wrong_field_is_refused_by_its_name(api, path, value):
    body = copy.deepcopy(RULE | NEEDS)
    put(body, path, value)
    answer = api("POST", "/rules", body)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    fields = [error["field"] for error in answer.json_body["errors"]]
    assert any(field.startswith(path) for field in fields), fields
    assert api("GET", "/rules").json_body["items"][1:] == []


def test_all_wrong_fields_together_are_all_named(api):
    body = copy.deepcopy(RULE | NEEDS)
    whole_lists = ("http[0].hosts", "http[0].target", "resources.instance_ids", "depends_on", "guards", "connector")
    one_each = {path: value for path, value in reversed(WRONG) if path not in whole_lists}
    for path, value in one_each.items():
        put(body, path, value)
    fields = [error["field"] for error in api("POST", "/rules", body).json_body["errors"]]
    for path in one_each:
        assert any(field.startswith(path) for field in fields), path


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("load_balancer_id", {"load_balancer_id": None, "health_check": None}),
        ("load_balancer_id", {"http": [], "tcp": []}),
        ("health_check", {"load_balancer_id": None, "http": [], "tcp": []}),
        ("http", {"http": [RULE["http"][0], RULE["http"][0]]}),
        ("http[0].target", {"http": [{"hosts": ["web.example.com"]}]}),
        ("http[0].redirect_url", {"http": [RULE["http"][0] | {"redirect_url": "https://b.example.com"}]}),
        ("http[0].redirect_url", {"http": [MOVED | {"redirect_url": "/new"}], "tcp": []}),
        ("load_balancer_id", {"http": [MOVED], "tcp": []}),
        ("tcp[0].wake_on", {"tcp": [{"protocol": "ssh", "target_port": 22, "wake_on": "bytes"}]}),
        ("tcp[0].wake_on", {"tcp": [{"protocol": "mysql", "target_port": 3306, "wake_on": "bytes"}]}),
        ("tcp", {"tcp": [RULE["tcp"][0], RULE["tcp"][0]]}),
        ("tcp", {"tcp": [{"target_port": 22, "listen_port": 80}]}),
        ("health_check", {"health_check": {"protocol": "tcp", "port": 1, "timeout_seconds": 5, "interval_seconds": 5}}),
    ],
)
def test_fields_that_do_not_agree_are_refused_by_name_together_with_every_other_fault(api, field, change):
    answer = api("POST", "/rules", RULE | change | {"name": ""})
    assert answer.status_code == 400
    assert {error["field"] for error in answer.json_body["errors"]} == {field, "name"}


@pytest.mark.parametrize("raw", [b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_not_a_json_object_is_a_problem(api, raw):
    answer = api("POST", "/rules", raw)
    assert (answer.status_code, answer.json_body["status"]) == (400, 400)


def test_a_rule_is_created_read_changed_and_deleted(api):
    created = api("POST", "/rules", RULE)
    assert created.status_code == 201, created.body
    rule = created.json_body
    assert rule["listen"] == {"22": 20000}
    assert (rule["state"], rule["startable"], rule["version"]) == ("down", True, 1)
    assert created.headers["ETag"] == '"1"'
    path = f"/rules/{rule['id']}"
    assert api("GET", path).json_body == rule
    patched = api("PATCH", path, {"idle_minutes": 30, "tcp": [{"target_port": 22}, {"target_port": 23}]})
    assert patched.json_body["idle_minutes"] == 30
    assert patched.json_body["listen"] == {"22": 20000, "23": 20001}
    assert api("PUT", path, RULE, If_Match='"1"').status_code == 412
    assert api("PUT", path, RULE, If_Match='"2"').json_body["version"] == 3
    assert api("DELETE", path).json_body == {"id": rule["id"], "started": ["i-0000000a"], "refused": []}
    assert api("GET", path).status_code == 404


def test_a_rule_that_forwards_may_redirect_too_without_a_target(api):
    url = "https://new.example.com/x?y=z"
    created = api("POST", "/rules", RULE | {"http": [*RULE["http"], MOVED | {"redirect_url": url}]}).json_body
    place = {"hosts": ["old.example.com"], "paths": ["/*"], "listen": {"protocol": "http", "port": 80}}
    assert created["http"][1] == place | {"target": None, "action": "redirect", "redirect_url": url}
    path = f"/rules/{created['id']}"
    assert api("PATCH", path, {"name": "new"}).json_body["http"] == created["http"]
    changed = api("PATCH", path, {"http": [*created["http"][:1], MOVED | {"target": {"port": 81}}]}).json_body
    assert changed["http"][1]["target"] == {"protocol": "http", "port": 81}
    assert changed["http"][1]["redirect_url"] is None


@pytest.mark.parametrize("protocol", ["https", "h2c", "http2", "grpc"])
def test_what_a_target_speaks_is_kept_as_it_was_said(api, protocol):
    http = RULE["http"][0] | {"target": {"protocol": protocol, "port": 8443}}
    created = api("POST", "/rules", RULE | {"http": [http]}).json_body
    assert created["http"][0]["target"] == {"protocol": protocol, "port": 8443}


def test_tcp_wakes_and_counts_as_the_rule_says_and_says_so(api):
    tcp = {"protocol": "postgresql", "target_port": 5432, "wake_on": "bytes", "allow_cidrs": ["10.0.0.0/8"]}
    ordinary = api("POST", "/rules", RULE).json_body
    assert ordinary["tcp"][0] == RULE["tcp"][0] | {"listen_port": 20000, "wake_on": "connect", "allow_cidrs": []}
    assert ordinary["tcp_idle"] == "any_bytes"
    assert ordinary["start_timeout_minutes"] == 10
    path = f"/rules/{ordinary['id']}"
    changed = api("PATCH", path, {"tcp": [tcp], "tcp_idle": {"bytes_per_minute": 500}}).json_body
    assert changed["tcp"] == [tcp | {"listen_port": changed["listen"]["5432"]}]
    assert changed["tcp_idle"] == {"bytes_per_minute": 500}
    again = api("PATCH", path, {"tcp_idle": "connection", "start_timeout_minutes": 20}).json_body
    assert again["start_timeout_minutes"] == 20
    assert (again["tcp"], again["tcp_idle"]) == (changed["tcp"], "connection")


def test_on_https_a_redirect_to_the_same_place_would_never_end():
    # https is not a protocol of every version's listeners, so the place is made by hand.
    listen = ListenBody.model_construct(protocol="https", port=443)
    with pytest.raises(ValidationError, match="redirect to itself"):
        HttpBody.model_validate(MOVED | {"listen": listen})


def test_a_deleted_rule_leaves_its_resources_as_they_are_when_asked(api):
    id_ = api("POST", "/rules", RULE).json_body["id"]
    assert api("DELETE", f"/rules/{id_}?leave=as_is").json_body["started"] == []
    assert api.world.starts() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"http": [{"hosts": ["web.example.com"], "target": {"port": 80}}], "tcp": []}, "host web.example.com/*"),
        ({"http": [], "tcp": [{"target_port": 22, "listen_port": 20000}]}, "listen port 20000"),
    ],
)
def test_what_is_taken_is_a_conflict_that_names_the_rule(api, change, words):
    first = api("POST", "/rules", RULE).json_body["id"]
    other = RULE | {"resources": RULE["resources"] | {"instance_ids": ["i-0000000b"]}} | change
    answer = api("POST", "/rules", other)
    assert answer.status_code == 409
    assert answer.json_body["detail"] == f"{words} belongs to rule {first}"


def test_an_instance_in_two_rules_is_refused(api):
    api("POST", "/rules", RULE)
    answer = api("POST", "/rules", RULE | {"http": [], "tcp": [{"target_port": 99}]})
    assert answer.status_code == 409
    assert "instance i-0000000a" in answer.json_body["detail"]


def test_unknown_and_never_stopped_instances_are_refused_by_id(api):
    ref = next(ref for ref in api.world.cloud.instances if ref.id == "i-0000000a")
    api.world.cloud.instances[ref].protections = (Protection.AUTO_SCALING,)
    body = copy.deepcopy(RULE)
    body["resources"]["instance_ids"] = ["i-0000000a", "i-00000fff"]
    body["load_balancer_id"] = "lb_none"
    errors = {e["field"]: e["message"] for e in api("POST", "/rules", body).json_body["errors"]}
    assert "Auto Scaling group" in errors["resources.instance_ids[0]"]
    assert "no instance i-00000fff" in errors["resources.instance_ids[1]"]
    assert "lb_none" in errors["load_balancer_id"]


@pytest.mark.parametrize("header", [None, "Bearer nonsense", "Basic x", "Bearer ak_0000_" + "x" * 40, "wrong secret"])
def test_no_key_and_wrong_keys_are_401(api, header):
    if header == "wrong secret":
        header = f"Bearer {api.tokens[Role.ADMIN].rsplit('_', 1)[0]}_{'x' * 40}"
    headers = {} if header is None else {"Authorization": header}
    answer = api("GET", "/rules", role=None, **headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("role", "method", "path"),
    [
        (Role.VIEWER, "POST", "/rules"),
        (Role.VIEWER, "POST", "/rules/ru_1/warm-up"),
        (Role.OPERATOR, "POST", "/api-keys"),
        (Role.PROXY, "GET", "/rules"),
        (Role.PROXY, "GET", "/load-balancers/lb_2/config?member=m"),
        (Role.ADMIN, "GET", "/load-balancers/lb_1/config?member=m"),
    ],
)
def test_a_wrong_role_is_403(api, role, method, path):
    answer = api(method, path, {} if method == "POST" else None, role)
    assert answer.status_code == 403


def test_the_same_idempotency_key_makes_one_rule(api):
    first = api("POST", "/rules", RULE, Idempotency_Key="k1").json_body["id"]
    assert api("POST", "/rules", RULE, Idempotency_Key="k1").json_body["id"] == first
    assert api("POST", "/rules", RULE | {"name": "other"}, Idempotency_Key="k1").status_code == 409


def test_a_proxy_polls_reports_and_wakes(api):
    id_ = api("POST", "/rules", RULE).json_body["id"]
    answer = api("GET", "/load-balancers/lb_1/config?member=i-p", role=Role.PROXY)
    assert answer.status_code == 200
    items = {item["id"]: item for item in json.loads(answer.body)["rules"]["items"]}
    assert items[id_]["targets"] == ["10.0.0.10"]
    assert len(json.dumps(items[id_], separators=(",", ":"))) <= 300
    etag = answer.headers["ETag"]
    assert api("GET", "/load-balancers/lb_1/config?member=i-p", role=Role.PROXY, If_None_Match=etag).status_code == 304
    report = {
        "member": "i-p",
        "config": etag.strip('"'),
        "applied": {"at": "2026-01-05T08:00:00Z"},
        "rules": [{"id": id_, "accepts": False, "at": "2026-01-05T08:00:00Z"}],
    }
    assert api("POST", "/load-balancers/lb_1/report", report, Role.PROXY).status_code == 204
    body = {"rule_ids": [id_], "cause": {"kind": "tcp", "source": "203.0.113.9", "port": 20000}}
    woken = api("POST", "/load-balancers/lb_1/warm-up", body, Role.PROXY)
    assert woken.status_code == 202
    assert woken.json_body["rules"][0]["startable"] is True
    api.world.work()
    assert api("GET", f"/rules/{id_}").json_body["state"] == "starting"
    history = api("GET", f"/rules/{id_}/events").json_body["items"]
    assert any(event["actor"] == "traffic 203.0.113.9 to port 20000" for event in history)


def test_overrides_and_explain(api):
    id_ = api("POST", "/rules", RULE).json_body["id"]
    up = api("POST", f"/rules/{id_}/warm-up", {"minutes": 30, "reason": "demo"}, Role.OPERATOR).json_body
    assert up["override"]["kind"] == "warm-up"
    explained = api("GET", f"/rules/{id_}/explain", role=Role.VIEWER).json_body
    assert (explained["desired"], explained["reason"]["code"]) == ("up", "warm_up")
    assert api("POST", f"/rules/{id_}/release", role=Role.OPERATOR).json_body["override"] is None
    assert api("POST", "/rules/ru_none/warm-up", {}).status_code == 404


def test_load_balancers_and_keys(api):
    created = api("POST", "/load-balancers", BALANCER)
    assert created.status_code == 201, created.body
    path = f"/load-balancers/{created.json_body['id']}"
    assert api("PUT", path, BALANCER | {"name": "new"}).json_body["name"] == "new"
    assert api("DELETE", path, If_Match='"1"').status_code == 412
    for change in ({"kind": "alb"}, {"existing": False}, {"port_range": [3, 2]}, {"region": "x"}):
        assert api("POST", "/load-balancers", BALANCER | change).status_code == 400
    assert api("DELETE", path).status_code == 200
    key = api("POST", "/api-keys", {"role": "viewer", "name": "ci"}).json_body
    assert key["token"].startswith(key["id"] + "_")
    listed = json.dumps(api("GET", "/api-keys").json_body)
    assert key["token"] not in listed
    assert "secret" not in listed
    assert api("POST", "/api-keys", {"role": "proxy"}).status_code == 400
    assert api("DELETE", f"/api-keys/{key['id']}").status_code == 200


OFFICE = {
    "name": "office hours",
    "kind": "uptime",
    "time_zone": "Europe/Berlin",
    "weekly": [{"days": ["MON", "FRI"], "start": "08:00", "end": "24:00"}],
    "except_dates": ["2026-12-25"],
}


def test_a_schedule_is_created_read_changed_used_and_deleted(api):
    made = api("POST", "/schedules", OFFICE, Idempotency_Key="k")
    assert made.status_code == 201
    id_ = made.json_body["id"]
    assert api("POST", "/schedules", OFFICE, Idempotency_Key="k").json_body["id"] == id_
    assert {name: made.json_body[name] for name in OFFICE} == OFFICE
    lost = api("PUT", f"/schedules/{id_}", OFFICE | {"name": "later"}, If_Match='"7"')
    assert lost.status_code == 412
    changed = api("PUT", f"/schedules/{id_}", OFFICE | {"name": "later"}, If_Match=made.headers["ETag"])
    assert (changed.json_body["name"], changed.json_body["version"]) == ("later", 2)
    rule = api("POST", "/rules", RULE | NEEDS | {"schedule_ids": [id_], "connector": None}).json_body
    assert rule["guards"] == [{"metric": "cpu", "for_minutes": 10, "above_percent": 20.0}]
    beat = api("POST", f"/rules/{rule['id']}/heartbeat", role=Role.OPERATOR).json_body
    assert beat == {"id": rule["id"], "vetoes_until": "2026-01-05T08:15:00.000Z"}
    assert (rule["schedule_ids"], rule["depends_on"]) == ([id_], [{"rule_id": "ru_1", "delay_seconds": 0}])
    planned = api("GET", f"/rules/{rule['id']}/explain").json_body["schedule"]
    assert [span["kind"] for span in planned] == ["uptime", None, "uptime", None, "uptime"]
    assert planned[0]["to"] == "2026-01-05T23:00:00.000Z"
    assert api("DELETE", f"/schedules/{id_}").status_code == 409
    assert api("DELETE", "/rules/ru_1").status_code == 409
    api("DELETE", f"/rules/{rule['id']}")
    assert api("DELETE", f"/schedules/{id_}").json_body == {"id": id_}
    assert api("GET", f"/schedules/{id_}").status_code == 404


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("kind", {"kind": "sometimes"}),
        ("time_zone", {"time_zone": "../../etc/passwd"}),
        ("priority", {"priority": 0}),
        ("weekly[0].days[0]", {"weekly": [{"days": ["MONDAY"], "start": "08:00", "end": "09:00"}]}),
        ("weekly[0].start", {"weekly": [{"days": ["MON"], "start": "8:00", "end": "09:00"}]}),
        ("weekly[0].end", {"weekly": [{"days": ["MON"], "start": "08:00", "end": "24:01"}]}),
        ("weekly[0].end", {"weekly": [{"days": ["MON"], "start": "08:00", "end": "08:00"}]}),
        ("rrule", {"weekly": [], "rrule": "FREQ=SECONDLY", "duration_minutes": 5}),
        ("duration_minutes", {"weekly": [], "rrule": "FREQ=DAILY"}),
        ("until", {"from": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}),
        ("from", {"from": "tomorrow"}),
        ("except_dates[0]", {"except_dates": ["25.12.2026"]}),
        ("surprise", {"surprise": 1}),
    ],
)
def test_each_wrong_field_of_a_schedule_is_refused_by_its_name(api, field, change):
    answer = api("POST", "/schedules", OFFICE | change)
    assert answer.status_code == 400
    assert field in {error["field"] for error in answer.json_body["errors"]}


def test_hibernation_is_taken_only_for_what_was_launched_with_it(api):
    body = copy.deepcopy(RULE)
    body["resources"]["when_idle"] = "hibernate"
    refused = api("POST", "/rules", body).json_body["errors"]
    assert [error["field"] for error in refused] == ["resources.when_idle"]
    for instance in api.world.cloud.instances.values():
        instance.can_hibernate = True
    assert api("POST", "/rules", body).status_code == 201


def test_what_a_rule_refers_to_must_be_there(api):
    body = RULE | {"schedule_ids": ["sc_none"], "depends_on": [{"rule_id": "ru_none"}]}
    fields = [error["field"] for error in api("POST", "/rules", body).json_body["errors"]]
    assert fields == ["schedule_ids[0]", "depends_on[0].rule_id"]


def test_lists_come_in_pages_and_bad_pages_are_refused(api):
    api("POST", "/rules", RULE)
    first = api("GET", "/rules?limit=1").json_body
    assert len(first["items"]) == 1
    assert api("GET", f"/rules?limit=1&cursor={first['next_cursor']}").json_body["next_cursor"] is None
    for query in ("limit=0", "limit=x", "cursor=nonsense"):
        assert api("GET", f"/rules?{query}").status_code == 400
    assert api("GET", "/events?from=yesterday").status_code == 400


def test_the_openapi_document_has_every_route_and_every_body(api):
    document = api("GET", "/openapi.json", role=None).json_body
    assert document["openapi"] == "3.1.0"
    assert "post" in document["paths"]["/rules"]
    assert "RuleBody" in document["components"]["schemas"]
    text = json.dumps(document)
    for ref in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert ref in document["components"]["schemas"]


def test_health_needs_no_key(api):
    assert api("GET", "/health", role=None).json_body["status"] == "ok"


def test_a_rule_of_another_account_is_made_and_answered_with_its_connector(api):
    theirs = Connector("arn:aws:iam::210987654321:role/autostop-access", "e1")
    api.world.cloud.add("i-000000aa", connector=theirs)
    body = {
        "name": "theirs",
        "resources": {"kind": "ec2", "region": "us-east-1", "instance_ids": ["i-000000aa"]},
        "connector": {"role_arn": theirs.role_arn, "external_id": theirs.external_id},
    }
    made = api("POST", "/rules", body)
    assert made.status_code == 201, made.body
    assert made.json_body["connector"] == body["connector"]
    here = api("POST", "/rules", body | {"connector": None})
    assert [error["message"] for error in here.json_body["errors"]] == ["There is no instance i-000000aa in us-east-1."]


def test_an_account_that_does_not_let_us_in_is_a_fault_of_the_connector(api):
    api.world.cloud.fail_next["describe"].append(CloudError("AccessDenied", "not authorized to perform sts:AssumeRole"))
    answer = api("POST", "/rules", RULE | {"connector": NEEDS["connector"], "schedule_ids": ["sc_none"]})
    assert answer.status_code == 400
    faults = {error["field"]: error["message"] for error in answer.json_body["errors"]}
    assert faults.keys() == {"connector", "schedule_ids[0]"}
    assert "sts:AssumeRole" in faults["connector"]
