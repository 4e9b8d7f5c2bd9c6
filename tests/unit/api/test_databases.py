"""Rules of kind rds through the API: what they may name, what they are answered as, and what is refused by field."""

from __future__ import annotations

import json

import pytest

from chalicelib.domain.resources import CLUSTER, Protection

DATABASE = {
    "name": "shop database",
    "idle_minutes": 30,
    "resources": {"kind": "rds", "region": "us-east-1", "instance_ids": ["db-1"]},
}
PROXIED = DATABASE | {"load_balancer_id": "lb_1", "tcp": [{"protocol": "postgresql", "target_port": 5432}]}


@pytest.fixture
def databases(api):
    made = api.world.databases
    for id_ in ("db-1", "db-2", f"{CLUSTER}db-1", f"{CLUSTER}shop"):
        made.add(id_)
    return made


def faults(answer):
    assert answer.status_code == 400, answer.json_body
    return {error["field"]: error["message"] for error in answer.json_body["errors"]}


@pytest.mark.usefixtures("databases")
def test_instances_and_clusters_are_named_apart_and_answered_so(api):
    resources = DATABASE["resources"] | {"instance_ids": ["db-1", "db-2"], "cluster_ids": ["db-1", "shop"]}
    made = api("POST", "/rules", DATABASE | {"resources": resources})
    assert made.status_code == 201, made.json_body
    assert made.json_body["resources"] == resources | {"tags": {}, "when_idle": "stop"}
    read = api("GET", f"/rules/{made.json_body['id']}").json_body
    assert read["resources"]["cluster_ids"] == ["db-1", "shop"]
    assert read["start_timeout_minutes"] == 30
    seen = {one["id"]: one for one in read["resources_observed"]}
    assert set(seen) == {"db-1", "db-2", "cluster:db-1", "cluster:shop"}
    assert seen["cluster:shop"]["endpoint"] == "shop.abc.us-east-1.rds.amazonaws.com"
    assert seen["cluster:shop"]["restarts_at"] == "2026-01-12T08:00:00.000Z"
    put = api("PUT", f"/rules/{read['id']}", DATABASE)
    assert put.json_body["resources"]["cluster_ids"] == []


def test_the_answer_of_an_ec2_rule_has_no_clusters(api):
    body = DATABASE | {"resources": {"kind": "ec2", "region": "us-east-1", "instance_ids": ["i-0000000a"]}}
    assert api("POST", "/rules", body).json_body["resources"]["cluster_ids"] == []


@pytest.mark.usefixtures("databases")
def test_a_proxy_gets_the_name_of_the_database_and_holds_its_clients_for_thirty_minutes(api):
    made = api("POST", "/rules", PROXIED)
    assert made.status_code == 201, made.json_body
    compact = [json.loads(text) for text in api.world.stores.proxies.rules("lb_1")]
    (mine,) = [rule for rule in compact if rule["id"] == made.json_body["id"]]
    assert mine["names"] == ["db-1.abc.us-east-1.rds.amazonaws.com"]
    assert (mine["targets"], mine["start"]) == ([], 30)
    assert len(json.dumps(mine, separators=(",", ":"))) <= 300


@pytest.mark.usefixtures("databases")
@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("resources.instance_ids[0]", {"resources": DATABASE["resources"] | {"instance_ids": ["My-DB"]}}),
        ("resources.instance_ids[1]", {"resources": DATABASE["resources"] | {"instance_ids": ["db-1", "a--b"]}}),
        ("resources.cluster_ids[0]", {"resources": DATABASE["resources"] | {"cluster_ids": ["cluster:shop"]}}),
        ("resources.cluster_ids", {"resources": DATABASE["resources"] | {"cluster_ids": ["shop", "shop"]}}),
        ("resources.instance_ids", {"resources": DATABASE["resources"] | {"instance_ids": []}}),
        ("resources.when_idle", {"resources": DATABASE["resources"] | {"when_idle": "hibernate"}}),
        ("resources.instance_ids[0]", {"resources": DATABASE["resources"] | {"instance_ids": ["db-9"]}}),
        ("resources.cluster_ids[1]", {"resources": DATABASE["resources"] | {"cluster_ids": ["shop", "db-2"]}}),
        ("guards", {"guards": [{"metric": "ssm_session"}]}),
        ("idle_connections", {"idle_connections": -1}),
        ("idle_connections", {"idle_connections": 0, "idle_minutes": 29}),
        ("idle_connections", PROXIED | {"idle_connections": 0}),
        ("load_balancer_id", PROXIED | {"resources": DATABASE["resources"] | {"instance_ids": ["db-1", "db-2"]}}),
        ("load_balancer_id", PROXIED | {"resources": DATABASE["resources"] | {"tags": {"env": "staging"}}}),
        ("load_balancer_id", PROXIED | {"http": [{"hosts": ["a.example.com"], "target": {"port": 80}}]}),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(api, field, change):
    assert field in faults(api("POST", "/rules", DATABASE | change))
    assert len(api("GET", "/rules").json_body["items"]) == 1


def test_what_is_for_databases_is_refused_of_instances(api):
    ec2 = {"kind": "ec2", "region": "us-east-1", "instance_ids": ["i-0000000a"], "cluster_ids": ["shop"]}
    guards = [{"metric": "rds_connections", "above": 2}]
    refused = faults(api("POST", "/rules", DATABASE | {"resources": ec2, "guards": guards, "idle_connections": 1}))
    assert refused["resources.cluster_ids"] == "is for kind rds only"
    ec2["cluster_ids"] = []
    refused = faults(api("POST", "/rules", DATABASE | {"resources": ec2, "guards": guards, "idle_connections": 1}))
    assert {"guards", "idle_connections"} <= set(refused)


@pytest.mark.usefixtures("databases")
def test_too_short_an_idle_time_is_refused_with_the_number(api):
    refused = faults(api("POST", "/rules", DATABASE | {"idle_connections": 3, "idle_minutes": 10}))
    assert "idle_minutes of 30 or more" in refused["idle_connections"]


@pytest.mark.parametrize("protection", [Protection.READ_REPLICA, Protection.SERVERLESS_V1, Protection.CLUSTER_MEMBER])
def test_what_aws_does_not_stop_is_refused_with_the_reason(api, databases, protection):
    databases.add("db-3", protections=(protection,))
    body = DATABASE | {"resources": DATABASE["resources"] | {"instance_ids": ["db-1", "db-3"]}}
    assert faults(api("POST", "/rules", body)) == {"resources.instance_ids[1]": f"db-3 {protection.words}."}


def test_by_tag_what_aws_does_not_stop_is_left_out_with_the_reason(api, databases):
    databases.add("db-3", protections=(Protection.REPLICA_SOURCE,), tags={"env": "staging"})
    databases.add(f"{CLUSTER}web", tags={"env": "staging"})
    body = DATABASE | {"resources": {"kind": "rds", "region": "us-east-1", "tags": {"env": "staging"}}}
    made = api("POST", "/rules", body).json_body
    assert made["members"] == ["cluster:web"]
    assert f"db-3 has its tags and is left out: it {Protection.REPLICA_SOURCE.words}." in made["warnings"]
    told = api("GET", f"/rules/{made['id']}/events").json_body["items"]
    assert any(event["kind"] == "resource_left_out" and "db-3" in event["words"] for event in told)


@pytest.mark.usefixtures("databases")
def test_a_guard_on_connections_and_connections_as_a_source_are_accepted_and_answered(api):
    guard = {"metric": "rds_connections", "above": 2, "for_minutes": 10}
    made = api("POST", "/rules", DATABASE | {"guards": [guard], "idle_connections": 3}).json_body
    assert made["guards"] == [guard]
    assert made["idle_connections"] == 3
    assert any("counted once a minute" in words for words in made["warnings"])


@pytest.mark.usefixtures("databases")
def test_without_a_source_the_warning_says_how_to_have_one(api):
    made = api("POST", "/rules", DATABASE).json_body
    assert any("idle_connections" in words for words in made["warnings"])


def test_explain_names_the_metric_as_its_source(api, databases):
    made = api("POST", "/rules", DATABASE | {"idle_connections": 3}).json_body
    databases.becomes(databases_ref(databases), "available")
    explained = api("GET", f"/rules/{made['id']}/explain").json_body
    assert [source["source"] for source in explained["watermarks"]] == ["cloudwatch DatabaseConnections"]


def databases_ref(databases):
    return next(ref for ref in databases.databases if ref.id == "db-1")


@pytest.mark.usefixtures("databases")
def test_a_database_belongs_to_one_rule_and_its_namesake_cluster_to_another(api):
    assert api("POST", "/rules", DATABASE).status_code == 201
    assert api("POST", "/rules", DATABASE).status_code == 409
    cluster = DATABASE | {"resources": {"kind": "rds", "region": "us-east-1", "cluster_ids": ["db-1"]}}
    assert api("POST", "/rules", cluster).status_code == 201


def test_a_deleted_rule_leaves_no_database_stopped(api, databases):
    made = api("POST", "/rules", DATABASE).json_body
    answer = api("DELETE", f"/rules/{made['id']}")
    assert answer.status_code == 200
    assert databases.databases[databases_ref(databases)].status == "starting"


def test_a_database_that_is_being_created_has_no_address_for_a_proxy_yet(api, databases):
    databases.becomes(databases_ref(databases), "creating")
    assert "no address yet" in faults(api("POST", "/rules", PROXIED))["resources.instance_ids[0]"]
    assert api("POST", "/rules", DATABASE).status_code == 201
