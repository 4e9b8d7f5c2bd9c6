"""Prices from AWS: what is believed of an answer, for how long, and what is asked."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.aws import pricing
from chalicelib.adapters.aws.pricing import AwsPrices, ProcessCache
from chalicelib.adapters.aws.pricing_mapping import Query, cost_of, query_for
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.domain.costs import UnknownCost
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.ports import Ec2Product, RdsProduct
from tests.contract.price_list import EC2, item
from tests.unit.aws.conftest import refusal

if TYPE_CHECKING:
    from tests.unit.aws.conftest import Wire

LINUX = Ec2Product("eu-central-1", "t3.micro")
HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def prices(wire: Wire, clock: VirtualClock) -> AwsPrices:
    wire.tap("pricing", pricing.REGION)
    return AwsPrices(ProcessCache(clock))


def query() -> Query:
    found = query_for(LINUX)
    assert isinstance(found, Query)
    return found


def listed(*usd: str) -> dict[str, Any]:
    return {"FormatVersion": "aws_v1", "PriceList": [json.dumps(item(EC2, price)) for price in usd]}


class TestAsking:
    def test_the_question_names_one_product_as_the_price_list_words_it(self, wire, prices):
        wire.on["GetProducts"] = lambda _: listed("0.0120000000")
        prices.hourly(LINUX)
        (asked,) = wire.asked("GetProducts")
        assert asked["ServiceCode"] == "AmazonEC2"
        assert {f["Type"] for f in asked["Filters"]} == {"TERM_MATCH"}
        assert {f["Field"]: f["Value"] for f in asked["Filters"]} == {
            "instanceType": "t3.micro",
            "regionCode": "eu-central-1",
            "operatingSystem": "Linux",
            "preInstalledSw": "NA",
            "operation": "RunInstances",
            "tenancy": "Shared",
            "capacitystatus": "Used",
            "termType": "OnDemand",
        }

    @pytest.mark.parametrize(
        "product",
        [
            replace(LINUX, spot=True),
            replace(LINUX, region="us-gov-east-1"),
            RdsProduct("cn-north-1", "db.t4g.micro", "mysql"),
        ],
    )
    def test_where_there_is_no_answer_nothing_is_asked(self, wire, prices, product):
        assert isinstance(prices.hourly(product), UnknownCost)
        assert wire.calls == []

    def test_an_answer_is_asked_for_once_a_day(self, wire, prices, clock):
        wire.on["GetProducts"] = lambda _: listed("0.0120000000")
        for hours in (0, 23, 0.99):
            clock.advance(hours * HOUR)
            assert prices.hourly(LINUX) == Decimal("0.012")
        assert wire.count["GetProducts"] == 1
        wire.on["GetProducts"] = lambda _: listed("0.0100000000")
        clock.advance(0.01 * HOUR)
        assert prices.hourly(LINUX) == Decimal("0.01")
        assert wire.count["GetProducts"] == 2

    def test_that_there_is_no_price_is_an_answer_too(self, wire, prices):
        wire.on["GetProducts"] = lambda _: listed()
        assert prices.hourly(LINUX) == prices.hourly(LINUX)
        assert wire.count["GetProducts"] == 1

    def test_different_products_are_different_questions(self, wire, prices):
        answers = iter([listed("0.0120000000"), listed()])
        wire.on["GetProducts"] = lambda _: next(answers)
        assert prices.hourly(LINUX) == Decimal("0.012")
        assert isinstance(prices.hourly(replace(LINUX, platform="Windows")), UnknownCost)

    def test_whatever_keeps_answers_can_stand_in_for_the_memory_of_the_process(self, wire, clock):
        class Table:
            def get(self, key: str) -> Any:
                return Decimal("0.5") if key == query().key else None

            def put(self, key: str, cost: Any) -> None:
                raise AssertionError

        wire.tap("pricing", pricing.REGION)
        assert AwsPrices(Table()).hourly(LINUX) == Decimal("0.5")

    def test_being_asked_to_slow_down_is_said_as_that(self, wire, prices):
        def throttle(_: dict[str, Any]) -> dict[str, Any]:
            raise refusal("ThrottlingException", operation="GetProducts")

        wire.on["GetProducts"] = throttle
        with pytest.raises(ThrottledError):
            prices.hourly(LINUX)

    def test_a_failure_on_a_later_page_is_not_half_an_answer(self, wire, prices):
        def fail_on_the_second(asked: dict[str, Any]) -> dict[str, Any]:
            if "NextToken" in asked:
                raise refusal("ExpiredNextTokenException", operation="GetProducts")
            return listed("0.0120000000") | {"NextToken": "more"}

        wire.on["GetProducts"] = fail_on_the_second
        with pytest.raises(CloudError):
            prices.hourly(LINUX)

    def test_of_an_answer_without_end_nothing_is_believed(self, wire, prices):
        pages = count()
        wire.on["GetProducts"] = lambda _: listed("0.0120000000") | {"NextToken": str(next(pages))}
        assert isinstance(prices.hourly(LINUX), UnknownCost)
        assert wire.count["GetProducts"] == pricing.MOST_PAGES


class TestReading:
    def test_a_product_listed_twice_at_one_price_has_that_price(self):
        answer = listed("0.0120000000", "0.012")["PriceList"]
        assert cost_of(query(), answer) == Decimal("0.012")

    def test_two_prices_are_none(self):
        cost = cost_of(query(), listed("0.0120000000", "10.5000000000")["PriceList"])
        assert isinstance(cost, UnknownCost)
        assert cost.reason == (
            "The AWS price list has more than one price for t3.micro (Linux/UNIX, tenancy default) in eu-central-1: "
            "$0.012, $10.5."
        )

    @pytest.mark.parametrize(
        "usd",
        ["0.0000000000", "", "-1.0", "NaN", "Infinity", "1e3", "1_0", " 1.0", "1.0\n", "\u0663.0", "123456.0", "$1"],
    )
    def test_what_is_not_a_price_as_documented_is_none(self, usd):
        assert isinstance(cost_of(query(), listed(usd)["PriceList"]), UnknownCost)

    def test_a_price_by_another_unit_or_in_another_currency_is_none(self):
        by_the_month = item(EC2, "0.012", unit="GB-Mo")
        in_yuan = json.dumps(item(EC2, "0.012")).replace('"USD"', '"CNY"')
        assert isinstance(cost_of(query(), [json.dumps(by_the_month), in_yuan]), UnknownCost)

    def test_the_price_of_another_product_is_not_believed_though_it_was_answered(self):
        other = json.dumps(item(EC2 | {"instanceType": "t3.nano"}, "0.0052"))
        assert isinstance(cost_of(query(), [other]), UnknownCost)

    def test_only_what_is_paid_on_demand_counts(self):
        reserved = item(EC2, "0.012")
        del reserved["terms"]["OnDemand"]
        assert isinstance(cost_of(query(), [json.dumps(reserved)]), UnknownCost)

    @pytest.mark.parametrize("odd", ["", "{", "null", "[]", "[" * 100_000, '"x"', "1", None, 7, {"product": {}}])
    def test_odd_items_are_passed_over(self, odd):
        assert cost_of(query(), [odd, *listed("0.012")["PriceList"]]) == Decimal("0.012")


odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.data(), odd_values)
def test_wherever_an_item_is_odd_the_answer_is_a_price_or_words(data, odd):
    parsed = item(EC2, "0.0120000000")
    node: Any = parsed
    while True:
        key = data.draw(st.sampled_from(sorted(node)))
        if not isinstance(node[key], dict) or not node[key] or data.draw(st.booleans()):
            node[key] = odd
            break
        node = node[key]
    cost = cost_of(query(), [json.dumps(parsed)])
    assert isinstance(cost, UnknownCost) or cost > 0
