"""`GET /health/deep`: how well the stage is, check by check."""

from __future__ import annotations

from datetime import timedelta

from chalicelib import __version__
from chalicelib.domain.access import Role
from chalicelib.domain.activity import Heartbeat
from chalicelib.domain.deep_health import LATE, LOST
from chalicelib.domain.errors import CloudError
from chalicelib.domain.members import MemberAgent
from chalicelib.ports.backlogs import Backlog
from chalicelib.ports.measures import Measure


def checks(api):
    answer = api("GET", "/health/deep", role=Role.OPERATOR)
    body = answer.json_body
    return (
        answer.status_code,
        body["health"],
        {check["name"]: (check["health"], check["words"]) for check in body["checks"]},
    )


def test_a_stage_that_is_well_says_so_with_its_version(api):
    status, health, found = checks(api)
    assert (status, health) == (200, "ok")
    assert set(found) == {"schedule", "rules", "queue", "proxies"}
    assert api("GET", "/health/deep").json_body["version"] == __version__


def test_only_operators_are_told(api):
    assert api("GET", "/health/deep", role=Role.VIEWER).status_code == 403
    assert api("GET", "/health/deep", role=None).status_code == 401


def test_rules_that_nobody_looks_at_when_they_are_due_are_first_late_and_then_a_failure(api):
    api.world.clock.advance(LATE + timedelta(minutes=1))
    assert checks(api)[:2] == (200, "degraded")
    api.world.clock.advance(LOST)
    status, health, found = checks(api)
    assert (status, health) == (503, "failing")
    assert "s late" in found["schedule"][1]


def test_dead_letters_are_told(api):
    api.backlogs.backlog = Backlog(3, 2)
    status, health, found = checks(api)
    assert (status, health) == (200, "degraded")
    assert found["queue"] == ("degraded", "3 messages wait, 2 are dead letters")


def test_what_cannot_be_looked_at_fails_and_the_rest_is_told_all_the_same(api):
    api.backlogs.failure = CloudError("AccessDenied", "not allowed")
    status, _, found = checks(api)
    assert status == 503
    assert found["queue"][0] == "failing"
    assert "not allowed" in found["queue"][1]
    assert found["rules"][0] == "ok"


def test_a_silent_proxy_and_one_with_another_agent_are_named(api):
    stores, now = api.world.stores, api.world.clock.now()
    beat = Heartbeat("i-0e1", 1, now - timedelta(minutes=1), now)
    stores.proxies.beat("lb_1", beat, now, timedelta(minutes=2))
    stores.agent_reports.put("lb_1", MemberAgent("i-0e1", now, "0.0.1"))
    assert "with another agent than" in checks(api)[2]["proxies"][1]
    stores.agent_reports.put("lb_1", MemberAgent("i-0e1", now, __version__))
    assert "i-0e1" not in checks(api)[2]["proxies"][1]
    api.world.clock.advance(timedelta(minutes=10))
    assert "silent: lb_1/i-0e1" in checks(api)[2]["proxies"][1]


def test_a_failure_on_our_side_is_counted_and_names_the_id_that_its_log_lines_have(api, monkeypatch):
    def broken(*_):
        raise RuntimeError("a defect")

    monkeypatch.setattr(type(api.services.manage_rules), "get", broken)
    answer = api("GET", "/rules/ru_1")
    assert answer.status_code == 500
    assert "under the request's id" in answer.json_body["detail"]
    assert "a defect" not in answer.body.decode()
    assert [of for _, of in api.measures.of(Measure.FAILURES)] == ["api"]
