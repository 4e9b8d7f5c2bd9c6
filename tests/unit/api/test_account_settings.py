"""`GET/PUT /account`."""

from __future__ import annotations

import pytest

from chalicelib.domain.access import Role


def test_the_account_is_read_paused_and_let_go_and_the_history_says_by_whom(api):
    read = api("GET", "/account")
    assert read.json_body | {"changed_at": None} == {
        "paused": False,
        "pause_reason": None,
        "max_stops_per_tick": 200,
        "changed_by": None,
        "changed_at": None,
        "version": 0,
    }
    body = {"paused": True, "pause_reason": "incident 7", "max_stops_per_tick": None}
    paused = api("PUT", "/account", body, If_Match=read.headers["ETag"])
    assert paused.status_code == 200, paused.body
    assert (paused.json_body["paused"], paused.json_body["version"]) == (True, 1)
    lost = api("PUT", "/account", {"paused": False}, If_Match=read.headers["ETag"])
    assert lost.status_code == 412
    assert api("PUT", "/account", {"paused": False, "max_stops_per_tick": 7}).json_body["max_stops_per_tick"] == 7
    told = [event for event in api("GET", "/events").json_body["items"] if event["kind"] == "account_changed"]
    assert "incident 7" in told[1]["words"]
    assert "ended" in told[0]["words"]
    assert told[0]["actor"].startswith("key ak_")


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.OPERATOR, 403), (None, 401)])
def test_only_an_admin_sets_it(api, role, status):
    assert api("PUT", "/account", {"paused": True}, role=role).status_code == status


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"max_stops_per_tick": 0}, "max_stops_per_tick"),
        ({"max_stops_per_tick": 1.5}, "max_stops_per_tick"),
        ({"paused": "yes"}, "paused"),
        ({"pause": True}, "pause"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(api, body, field):
    answer = api("PUT", "/account", body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json_body["errors"]] == [field]
    assert api("GET", "/account").json_body["version"] == 0
