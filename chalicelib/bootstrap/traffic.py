"""For the warm-up function: the stores that it needs and no others, since a browser waits for their import."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from chalicelib.bootstrap.parts import settings

if TYPE_CHECKING:
    from chalicelib.usecases.answer_traffic import AnswerTraffic
    from chalicelib.usecases.hold_traffic import HoldTraffic


@cache
def answer_traffic() -> AnswerTraffic:
    """For the `warm_up` function: the stores that it needs and no others, since a browser waits for their import."""
    from chalicelib.adapters.aws.clients import made_by
    from chalicelib.adapters.aws.sqs import SqsQueue
    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.adapters.dynamodb.balancers import DynamoBalancers
    from chalicelib.adapters.dynamodb.events import DynamoEvents
    from chalicelib.adapters.dynamodb.models import (
        BalancerItem,
        EventItem,
        ProxyItem,
        RuleItem,
        configure,
        share_client,
    )
    from chalicelib.adapters.dynamodb.proxies import DynamoProxyStore
    from chalicelib.adapters.dynamodb.rules import DynamoRules
    from chalicelib.adapters.dynamodb.status import DynamoRuleStatus
    from chalicelib.usecases.answer_traffic import AnswerTraffic
    from chalicelib.usecases.warm_up import WarmUp

    clock = SystemClock()
    configure(settings().table_prefix, settings().region)
    session = share_client(RuleItem, ProxyItem, BalancerItem, EventItem)
    queue = SqsQueue(settings().queue_url, settings().region, made_by(session))
    rules, events = DynamoRules(clock), DynamoEvents(clock)
    warm_up = WarmUp(rules, DynamoRuleStatus(clock), events, queue, clock, RandomIds())
    return AnswerTraffic(warm_up, rules, DynamoProxyStore(clock), DynamoBalancers(clock), events, clock)


@cache
def hold_traffic() -> HoldTraffic:
    """For the `warm_up` function, where a rule's clients are held."""
    import random
    import time

    from chalicelib.adapters.aws.system import RandomIds, SystemClock
    from chalicelib.adapters.dynamodb.holds import DynamoHolds
    from chalicelib.usecases.hold_traffic import HoldTraffic

    clock = SystemClock()
    places = DynamoHolds(clock, random.sample)
    return HoldTraffic(answer_traffic(), places, clock, RandomIds(), time.sleep)
