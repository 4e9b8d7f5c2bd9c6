"""For savings."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from chalicelib.bootstrap.parts import stores

if TYPE_CHECKING:
    from chalicelib.ports import Prices
    from chalicelib.usecases.price_book import PriceBook
    from chalicelib.usecases.roll_up_savings import RollUpSavings
    from chalicelib.usecases.savings import Savings


@cache
def _prices() -> Prices:
    from chalicelib.adapters.aws.pricing import AwsPrices, ProcessCache
    from chalicelib.adapters.aws.system import SystemClock

    return AwsPrices(ProcessCache(SystemClock()))


def new_price_book() -> PriceBook:
    """For one answer, or one day: what AWS did not tell is asked for again in the next."""
    from chalicelib.usecases.price_book import PriceBook

    return PriceBook(_prices(), stores().balancers, stores().proxies)


@cache
def roll_up_savings() -> RollUpSavings:
    """For the `savings_rollup` function."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.count_days import CountDays
    from chalicelib.usecases.roll_up_savings import RollUpSavings

    usage = stores().usage
    return RollUpSavings(usage, CountDays(usage), new_price_book, SystemClock())


@cache
def savings() -> Savings:
    """For the routes of savings alone: whoever wakes a rule does not wait for their imports."""
    from chalicelib.adapters.aws.system import SystemClock
    from chalicelib.usecases.count_days import CountDays
    from chalicelib.usecases.savings import Savings

    s = stores()
    return Savings(s.rules, s.usage, CountDays(s.usage), new_price_book, SystemClock())
