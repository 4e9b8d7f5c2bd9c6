"""The page of costs is the one that its data give, and the data are of the kinds and sizes that are promised."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scripts import cost_table
from scripts.benches.cost import CASES
from scripts.costs.bill import lines_of, row_of
from scripts.costs.prices import PRICES, Quantity, usd
from scripts.costs.scenarios import Counted, count

MINUTE = timedelta(minutes=1)


def test_the_page_checked_in_is_the_one_that_the_data_give():
    assert cost_table.PAGE.read_text() == cost_table.page(cost_table.stored())


def test_every_size_of_every_kind_is_in_it_and_its_lines_add_up():
    rows = cost_table.stored()
    assert [(row["kind"], row["rules"]) for row in rows] == list(CASES)
    for row in rows:
        assert sum(row["lines"].values()) == pytest.approx(row["usd_per_month"], abs=0.02)
        for name, amount in row["lines"].items():
            assert amount == pytest.approx(usd(Quantity(name), row["quantities"][name]), rel=0.01, abs=0.002)


def test_everything_that_is_counted_has_a_price_with_its_source():
    assert set(PRICES) == set(Quantity)
    assert all(price.usd > 0 and price.source.startswith("https://aws.amazon.com/") for price in PRICES.values())


def test_a_bill_is_amounts_times_prices():
    amounts = {Quantity.LAMBDA_REQUESTS: 5_000_000.0, Quantity.ALARMS: 3.0}
    made = Counted(7, "alb", 1, timedelta(hours=1), amounts, {"tick": 43_800.0}, {"tick": 0.03})
    assert lines_of(made) == {"Lambda requests": pytest.approx(1.0), "CloudWatch alarms": pytest.approx(0.3)}
    assert row_of(made)["usd_per_month"] == 1.3


def test_a_stage_on_a_proxy_lives_and_everything_that_it_does_is_counted():
    counted = count("proxy", 12, 15 * MINUTE)
    month = 730 * 4
    assert counted.invocations["tick"] == 15 * month
    assert counted.invocations["proxy_logs"] == 15 * month
    assert counted.invocations["discover"] == 3 * month
    assert counted.invocations["provision_sweep"] == month
    assert counted.quantities[Quantity.API_REQUESTS] == pytest.approx(counted.invocations["api_handler"])
    # Polls, and reports of the rule that is in use, beside a hundred requests of people a day.
    assert 27 * month < counted.invocations["api_handler"] < 60 * month
    # A use and a total each minute of the one that is in use, the proof of its proxy, and its look.
    assert 15 * 3 * month < counted.quantities[Quantity.DYNAMODB_WRITES] < 15 * 8 * month
    assert Quantity.METRICS_READ not in counted.quantities
    assert all(0 < seconds < 3 for seconds in counted.seconds.values())


def test_a_rule_that_nobody_uses_any_more_is_stopped_while_it_is_counted():
    counted = count("proxy_busy", 24, 60 * MINUTE)
    assert counted.invocations["ec2_state"] >= 4 * 730, "one is started and one is stopped in each hour, in two steps"


def test_rules_on_albs_are_read_four_times_an_hour_each_and_polled_by_nobody():
    counted = count("alb", 8, 60 * MINUTE)
    looks = counted.quantities[Quantity.METRICS_READ] / 730
    assert 8 * 4 <= looks <= 8 * 4 * 2.3, "each with its load balancer's, which rules share that are due together"
    assert counted.invocations["api_handler"] == pytest.approx(100 * 730 / 24)
