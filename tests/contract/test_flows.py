"""What the ports of flow logs promise, of memory, DynamoDB (moto) and EC2 (moto)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import boto3
import pytest

from chalicelib.adapters.aws.interfaces import Ec2Interfaces
from chalicelib.adapters.dynamodb.models import ALL_MODELS
from chalicelib.adapters.dynamodb.stores import build_stores
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.adapters.memory.stores import MemoryStores
from chalicelib.domain.activity import Span
from chalicelib.domain.flow_logs import FlowWatch, Interface
from chalicelib.domain.flow_proof import Stretches
from chalicelib.domain.resources import Place, ResourceKind, ResourceRef, ResourceState
from chalicelib.ports import LastActivity
from tests.contract.conftest_aws import REGION, fresh_aws, make_ec2_compute

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE = timedelta(minutes=1)
WATCH = FlowWatch("ru_1", (Interface("eni-1", ("10.0.0.5", "2001:db8::5")),), (22, 8080), ("10.9.0.0/16",))


class Bench:
    def __init__(self, stores, clock):
        self.activity, self.flows, self.clock = stores.activity, stores.flows, clock

    def window(self, n, length=1):
        start = self.clock.now().replace(second=0, microsecond=0) + n * MINUTE
        return Span(start, start + length * MINUTE)

    def proof(self, rule_id="ru_1"):
        return {proof.interface: proof.stretches for proof in self.activity.facts(rule_id).flows}


@pytest.fixture(params=["memory", "dynamodb"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    clock = VirtualClock()
    if request.param == "memory":
        yield Bench(MemoryStores(clock), clock)
        return
    with fresh_aws():
        stores = build_stores("autostop-test-", REGION, clock)
        for model in ALL_MODELS:
            model.create_table(wait=False)
        yield Bench(stores, clock)


def test_what_is_watched_is_told_as_it_was_said_last(bench):
    bench.flows.watch(WATCH)
    other = FlowWatch("ru_2", (), (5432,))
    bench.flows.watch(other)
    bench.flows.watch(FlowWatch("ru_1", WATCH.interfaces, (22,)))
    assert sorted(bench.flows.watches(), key=lambda one: one.rule_id) == [
        FlowWatch("ru_1", WATCH.interfaces, (22,)),
        other,
    ]


def test_what_nobody_says_any_more_is_forgotten(bench):
    bench.flows.watch(WATCH)
    bench.clock.advance(timedelta(hours=47))
    assert list(bench.flows.watches()) == [WATCH]
    bench.clock.advance(timedelta(hours=2))
    assert list(bench.flows.watches()) == []


def test_proof_grows_in_any_order_and_is_among_the_facts_of_its_rule(bench):
    bench.flows.prove("ru_1", "eni-1", [bench.window(1)], [], MINUTE)
    bench.flows.prove("ru_1", "eni-1", [bench.window(0)], [], MINUTE)
    bench.flows.prove("ru_1", "eni-1", [bench.window(0)], [], MINUTE)
    bench.flows.prove("ru_1", "eni-1", [], [bench.window(5)], MINUTE)
    bench.flows.prove("ru_1", "eni-2", [bench.window(3)], [], MINUTE)
    bench.activity.seen("ru_1", LastActivity("flow log eni-1", bench.clock.now()))
    assert bench.proof() == {
        "eni-1": Stretches((bench.window(0, 2),), (bench.window(5),)),
        "eni-2": Stretches((bench.window(3),)),
    }
    assert [last.source for last in bench.activity.facts("ru_1").last] == ["flow log eni-1"]
    assert bench.proof("ru_2") == {}


def test_interfaces_of_instances_are_found_with_their_addresses():
    with fresh_aws(), make_ec2_compute() as (_, make):
        one, two = make(ResourceState.RUNNING), make(ResourceState.STOPPED)
        gone = ResourceRef(ResourceKind.EC2, REGION, "i-0123456789abcdef0")
        found = Ec2Interfaces().of_instances(Place(ResourceKind.EC2, REGION), [one, two, gone])
        described = boto3.client("ec2", region_name=REGION).describe_instances(InstanceIds=[one.id])
        (expected,) = described["Reservations"][0]["Instances"][0]["NetworkInterfaces"]
        assert found[one] == (Interface(expected["NetworkInterfaceId"], (expected["PrivateIpAddress"],)),)
        assert found.keys() == {one, two}
