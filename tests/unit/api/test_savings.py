"""The routes of savings."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.domain.access import Role
from tests.unit.test_savings_story import DAY, HOUR, TEN_MINUTES, by_hand, live

FROM_TO = "?from=2026-01-06T00:00:00Z&to=2026-01-07T00:00:00Z"
LINE = {
    "hours_up": 6.0,
    "hours_down": 18.0,
    "hours_unknown": 0.0,
    "cost_actual": 3.0,
    "baseline_always_on": 12.0,
    "baseline_schedules": None,
    "savings_always_on": 9.0,
    "savings_schedules": None,
    "own_cost": 0.2496,
    "net_always_on": 8.7504,
    "net_schedules": None,
}


@pytest.fixture
def a_day(api):
    """`ru_1` costs half a dollar an hour and was up from 6 to 12 o'clock; nobody proves that it is idle."""
    world = api.world
    world.change("ru_1", hourly_cost=0.5)
    live(world, DAY)
    by_hand(world, 6, world.cloud.start_by_hand)
    by_hand(world, 12, world.cloud.stop_by_hand)
    live(world, DAY + 24 * HOUR + TEN_MINUTES)
    return world


def test_a_rule_tells_hours_money_and_both_baselines_by_day_net_of_its_proxy(api, a_day):
    answer = api("GET", f"/rules/ru_1/savings{FROM_TO}", role=Role.VIEWER)
    assert answer.status_code == 200
    body = answer.json_body
    assert body["rule_id"] == "ru_1"
    assert (body["from"], body["to"]) == ("2026-01-06T00:00:00.000Z", "2026-01-07T00:00:00.000Z")
    assert (body["dry_run"], body["currency"]) == (False, "USD")
    assert body["days"] == [{"date": "2026-01-06", **LINE}]
    assert body["total"] == LINE
    assert body["unknown_cost"] == []
    assert body["would"] is None
    assert body["actual"]["total"] == LINE
    assert any("rules that are on it now" in note for note in body["notes"])


def test_the_account_tells_the_same_of_one_rule(api, a_day):
    body = api("GET", f"/savings{FROM_TO}", role=Role.VIEWER).json_body
    assert body["days"] == [{"date": "2026-01-06", **LINE}]
    assert body["total"] == body["priced"] == LINE
    assert body["left_out"] == {"rule_ids": [], "count": 0}
    assert (body["unknown_cost"], body["unknown_cost_count"], body["would"]) == ([], 0, None)
    assert "rule_id" not in body


def test_an_unknown_price_is_null_and_named(api):
    world = api.world
    world.prices.costs.clear()
    live(world, DAY + 24 * HOUR + TEN_MINUTES)
    body = api("GET", f"/rules/ru_1/savings{FROM_TO}").json_body
    assert (body["total"]["hours_down"], body["total"]["cost_actual"], body["total"]["net_always_on"]) == (
        24,
        None,
        None,
    )
    assert [one["id"] for one in body["unknown_cost"]] == ["i-00000001", "lb_1"]
    assert all("The price list has no" in one["reason"] for one in body["unknown_cost"])
    account = api("GET", f"/savings{FROM_TO}").json_body
    assert account["left_out"] == {"rule_ids": ["ru_1"], "count": 1}
    assert account["priced"]["cost_actual"] == 0


def test_a_dry_run_tells_what_would_have_been_and_the_account_keeps_it_apart(api):
    world = api.world
    world.change("ru_1", hourly_cost=0.5, dry_run=True)
    live(world, DAY + 24 * HOUR + TEN_MINUTES)
    body = api("GET", f"/rules/ru_1/savings{FROM_TO}").json_body
    assert body["dry_run"] is True
    assert body["total"]["savings_always_on"] == 12
    assert body["would"]["total"] == body["total"]
    assert body["actual"] is None
    assert body["notes"][0].startswith("Dry run")
    account = api("GET", f"/savings{FROM_TO}").json_body
    assert account["total"]["hours_down"] == 0
    assert account["would"]["total"]["savings_always_on"] == 12


def test_without_from_and_to_it_is_the_last_seven_days(api, a_day):
    body = api("GET", "/rules/ru_1/savings").json_body
    assert body["from"] == "2025-12-31T00:10:00.000Z"
    assert [day["date"] for day in body["days"]] == ["2026-01-05", "2026-01-06", "2026-01-07"]
    account = api("GET", "/savings").json_body
    assert account["from"] == "2025-12-31T00:00:00.000Z"
    assert [day["date"] for day in account["days"]] == ["2026-01-05", "2026-01-06", "2026-01-07"]


@pytest.mark.parametrize("path", ["/savings", "/rules/ru_1/savings"])
class TestRefused:
    def test_times_that_are_none(self, api, path):
        answer = api("GET", f"{path}?from=yesterday&to=never")
        assert answer.status_code == 400
        assert [error["field"] for error in answer.json_body["errors"]] == ["from", "to"]

    def test_more_than_400_days(self, api, path):
        answer = api("GET", f"{path}?from=2025-01-01T00:00:00Z&to=2026-02-05T00:00:01Z")
        assert answer.status_code == 400
        assert answer.json_body["errors"] == [{"field": "from", "message": "is more than 400 days before to"}]
        assert api("GET", f"{path}?from=2025-01-01T00:00:00Z&to=2026-02-05T00:00:00Z").status_code == 200

    @pytest.mark.parametrize(
        "period",
        [
            "from=2026-01-07T00:00:00Z&to=2026-01-06T00:00:00Z",
            "from=9999-12-31T00:00:00Z&to=9999-12-31T23:59:59Z",
            "from=0001-01-01T00:00:00Z&to=0001-01-02T00:00:00Z",
        ],
    )
    def test_a_time_in_which_nothing_was_has_no_days(self, api, path, period):
        answer = api("GET", f"{path}?{period}")
        assert answer.status_code == 200
        assert answer.json_body["days"] == []

    def test_no_key_and_a_proxys_key(self, api, path):
        assert api("GET", path, role=None).status_code == 401
        assert api("GET", path, role=Role.PROXY).status_code == 403


def test_a_rule_that_is_not_there(api):
    assert api("GET", "/rules/ru_none/savings").status_code == 404


def test_a_deleted_rule_counts_up_to_its_end(api, a_day):
    live(a_day, DAY + 36 * HOUR)
    assert api("DELETE", "/rules/ru_1?leave=as_is").status_code == 200
    a_day.clock.advance(timedelta(hours=24))
    body = api("GET", "/savings?from=2026-01-07T00:00:00Z&to=2026-01-08T00:00:00Z").json_body
    assert (body["total"]["hours_down"], body["total"]["hours_unknown"]) == (12, 0)


def test_the_openapi_document_names_the_query(api):
    paths = api("GET", "/openapi.json").json_body["paths"]
    for path in ("/savings", "/rules/{rule_id}/savings"):
        names = [(one["in"], one["name"]) for one in paths[path]["get"]["parameters"]]
        assert names[-2:] == [("query", "from"), ("query", "to")]
        assert paths[path]["get"]["x-role"] == "viewer"
