"""Sources of rules that no load balancer carries, through the API."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.bootstrap import api_handler

BODY = {
    "name": "jump host",
    "idle_minutes": 20,
    "resources": {"kind": "ec2", "region": "us-east-1", "instance_ids": ["i-0000000b"]},
    "sources": [
        {"kind": "flow_logs", "ports": [22, 3389]},
        {"kind": "cpu", "above_percent": 5},
        {"kind": "network_bytes", "above": 20000},
    ],
}


@pytest.fixture
def flowing(api, monkeypatch):
    api.world.cloud.add("i-0000000b", private_ip="10.0.0.11")
    services = replace(api.services, flow_log_window=timedelta(minutes=1))
    monkeypatch.setattr(api_handler, "services", lambda: services)
    return api


def test_sources_are_stored_and_shown_with_what_they_cannot_see(flowing):
    made = flowing("POST", "/rules", BODY)
    assert made.status_code == 201, made.json_body
    assert [{k: v for k, v in one.items() if v is not None} for one in made.json_body["sources"]] == BODY["sources"]
    assert any("ten minutes late" in words for words in made.json_body["warnings"])
    explained = flowing("GET", f"/rules/{made.json_body['id']}/explain").json_body
    assert [one["source"].split()[0] for one in explained["watermarks"]] == ["cloudwatch", "cloudwatch", "flow"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"idle_minutes": 11}, "has cpu, which needs idle_minutes of 15 or more"),
        ({"idle_minutes": 11, "sources": [{"kind": "flow_logs", "ports": [22]}]}, "idle_minutes of 12 or more"),
        ({"sources": [{"kind": "flow_logs"}]}, "ports are needed by flow_logs"),
        ({"sources": [{"kind": "cpu"}]}, "above_percent is needed by cpu"),
        ({"sources": [{"kind": "cpu", "above_percent": 1, "above": 2}]}, "above is needed by network_bytes"),
        ({"sources": [{"kind": "cpu", "above_percent": 1}] * 2}, "has a kind twice"),
        (
            {"load_balancer_id": "lb_1", "tcp": [{"protocol": "ssh", "target_port": 22}]},
            "is for rules without a load balancer",
        ),
        (
            {"resources": {"kind": "rds", "region": "us-east-1", "instance_ids": ["db-1"]}},
            "is for kind ec2 only; a database has idle_connections",
        ),
        (
            {"connector": {"role_arn": "arn:aws:iam::210987654321:role/autostop-x", "external_id": "abcdefgh12345678"}},
            "are read of AutoStop's own account only",
        ),
    ],
)
def test_what_they_cannot_tell_is_refused_with_the_number_or_the_reason(flowing, change, message):
    answer = flowing("POST", "/rules", BODY | change)
    assert answer.status_code == 400
    assert any(message in fault["message"] for fault in answer.json_body["errors"]), answer.json_body


def test_where_the_stage_reads_no_flow_logs_they_are_refused(api):
    api.world.cloud.add("i-0000000b", private_ip="10.0.0.11")
    (fault,) = api("POST", "/rules", BODY).json_body["errors"]
    assert "AUTOSTOP_FLOW_LOG_GROUP" in fault["message"]


def test_what_flow_logs_have_proven_is_among_the_watermarks_of_the_rule(flowing):
    made = flowing("POST", "/rules", BODY).json_body
    flowing.world.stores.flows.prove(made["id"], "eni-1", [], [], timedelta(minutes=1))
    (mark,) = flowing("GET", f"/rules/{made['id']}").json_body["watermarks"]
    assert (mark["source"], mark["watermark"]) == ("flow log eni-1", None)
