"""Each command is a call of the API, and the API has no call that people need and no command makes."""

from __future__ import annotations

import json
import re

import pytest

import app as application
from chalicelib.domain.access import Role
from scripts.cli.calls import CALLS

RULE = {
    "name": "build agents",
    "idle_minutes": 15,
    "resources": {"kind": "ec2", "region": "us-east-1", "instance_ids": ["i-0000000a"]},
}
OF_PROXIES = {
    ("GET", "/load-balancers/{load_balancer_id}/config"),
    ("POST", "/load-balancers/{load_balancer_id}/report"),
    ("POST", "/load-balancers/{load_balancer_id}/warm-up"),
}
FOR_PROGRAMS = {("GET", "/openapi.json")}


def test_there_is_a_command_for_every_route_but_those_of_proxies_and_programs():
    routes = {(method, path) for path, methods in application.app.routes.items() for method in methods}
    assert {(call.method, call.path) for call in CALLS} == routes - OF_PROXIES - FOR_PROGRAMS


def test_every_command_has_a_line_of_help(terminal):
    for call in CALLS:
        ran = terminal.run(*([call.group] if call.group else []), call.name, "--help")
        assert ran.exit_code == 0
        assert call.help.split()[0] in ran.output


def test_a_rule_lives_its_life_from_a_terminal(terminal):
    rule = terminal.made("rules", "create", "--file", terminal.file(RULE))
    assert rule["id"] in terminal.run("rules", "list").output
    changed = terminal.made("rules", "change", rule["id"], "--file", terminal.file({"idle_minutes": 20}))
    assert changed["idle_minutes"] == 20
    replaced = terminal.made("rules", "replace", rule["id"], "--file", terminal.file(RULE | {"name": "agents"}))
    assert (replaced["name"], replaced["idle_minutes"]) == ("agents", 15)
    up = terminal.made("rules", "warm-up", rule["id"], "--minutes", "45", "--reason", "release day")
    assert "release day" in json.dumps(up["override"])
    assert terminal.made("rules", "release", rule["id"])["override"] is None
    assert "vetoes_until" in terminal.made("rules", "heartbeat", rule["id"])
    assert terminal.made("rules", "delete", rule["id"], "--leave", "as_is") == {
        "id": rule["id"],
        "started": [],
        "refused": [],
    }


def test_explain_is_sentences_for_people_and_json_for_programs(terminal):
    rule = terminal.made("rules", "create", "--file", terminal.file(RULE))
    words = terminal.run("rules", "explain", rule["id"]).output
    told = terminal.made("rules", "explain", rule["id"], "--json")
    assert words.startswith(f"{rule['id']} is {told['state']} and should be {told['desired']}.")
    assert told["reason"]["words"] in words


def test_a_list_is_followed_to_its_end_and_cut_where_asked(terminal, monkeypatch):
    monkeypatch.setattr("scripts.cli.api.PAGE", 2)
    for n in range(5):
        terminal.made("schedules", "create", "--file", terminal.file(nights(n)))
    assert len(json.loads(terminal.run("schedules", "list", "--json").output)) == 5
    assert len(json.loads(terminal.run("schedules", "list", "--json", "--limit", "3").output)) == 3
    assert len(terminal.run("schedules", "list").output.splitlines()) == 6


def test_every_fault_of_a_file_is_named_and_nothing_is_made(terminal):
    before = terminal.run("rules", "list", "--json").output
    ran = terminal.run("rules", "create", "--file", terminal.file({"name": "", "idle_minutes": 0}))
    assert ran.exit_code == 1
    for field in ("name", "idle_minutes", "resources"):
        assert re.search(rf"^  {field}: ", ran.output, re.MULTILINE)
    assert terminal.run("rules", "list", "--json").output == before


def test_a_key_comes_from_the_environment_or_a_file_and_never_from_an_argument(terminal):
    key = terminal.home / "key"
    key.write_text(terminal.api.tokens[Role.VIEWER] + "\n")
    assert terminal.run("rules", "list", AUTOSTOP_KEY="", AUTOSTOP_KEY_FILE=str(key)).exit_code == 0
    refused = terminal.run("rules", "list", AUTOSTOP_KEY="ak_wrong_wrong")
    assert refused.exit_code == 1
    assert "401" in refused.output
    assert "--key " not in terminal.run("--help").output


def test_what_a_role_may_not_do_is_said_with_what_is_needed(terminal):
    terminal.role = Role.VIEWER
    ran = terminal.run("rules", "create", "--file", terminal.file(RULE))
    assert ran.exit_code == 1
    assert "403" in ran.output
    assert "needs the role admin" in ran.output


@pytest.mark.parametrize("id_", ["../account", "ru_1/explain", "ru_1?x=1", ""])
def test_what_is_no_id_reaches_no_route(terminal, id_):
    ran = terminal.run("rules", "delete", id_)
    assert ran.exit_code == 2
    assert "is no id" in ran.output


def test_an_api_that_is_not_there_is_said_in_words(terminal):
    ran = terminal.run("health", AUTOSTOP_URL="http://127.0.0.1:9")
    assert ran.exit_code == 1
    assert "cannot be reached" in ran.output
    assert "Traceback" not in ran.output


def test_without_an_address_help_is_given_and_a_call_is_refused(terminal):
    assert terminal.run("rules", "--help", AUTOSTOP_URL="").exit_code == 0
    ran = terminal.run("rules", "list", AUTOSTOP_URL="")
    assert ran.exit_code == 2
    assert "AUTOSTOP_URL" in ran.output


def test_an_api_key_is_made_shown_once_and_deleted(terminal):
    new = terminal.made(
        "api-keys", "create", "--role", "operator", "--name", "ci", "--expires-at", "2030-01-01T00:00:00Z"
    )
    assert new["token"].startswith(new["id"])
    assert new["token"] not in terminal.run("api-keys", "list").output
    assert terminal.made("api-keys", "delete", new["id"]) == {"id": new["id"]}


def nights(n: int) -> dict[str, object]:
    weekly = [{"days": ["MON"], "start": "20:00", "end": "06:00"}]
    return {"name": f"nights {n}", "kind": "downtime", "time_zone": "UTC", "weekly": weekly}
