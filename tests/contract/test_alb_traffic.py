"""What `ports.AlbTraffic` promises, of the one in memory and of Elastic Load Balancing on moto.

What moto never does (pages, targets that become healthy, refusals) is in tests/unit/aws/test_alb_traffic.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest
from botocore.handlers import BUILTIN_HANDLERS

from chalicelib.adapters.memory.alb_traffic import FakeAlbTraffic
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.adapters.memory.cloud import FakeCloud
from chalicelib.domain.alb_traffic import AlbPlace, Position
from chalicelib.domain.resources import ResourceState
from tests.contract.alb_on_moto import OnMoto
from tests.contract.conftest_aws import fresh_aws
from tests.unit.alb_world import PLACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import OperationModel

    from chalicelib.ports import AlbTraffic

INSTANCES, FUNCTION, MIXED, MISSING = Position.INSTANCES, Position.FUNCTION, Position.MIXED, Position.MISSING


class Bench(Protocol):
    """An adapter with what a test needs around it."""

    traffic: AlbTraffic
    place: AlbPlace

    def add(self, rule_id: str) -> str:
        """A listener rule of this rule, all to its instances; answers its ARN."""

    def weigh(self, arn: str, instances: int, function: int) -> None:
        """Somebody changes it by hand."""

    @property
    def changes(self) -> int:
        """Listener rules changed by the adapter."""


class InMemory:
    def __init__(self) -> None:
        clock = VirtualClock()
        self.cloud = FakeCloud(clock)
        self.traffic = FakeAlbTraffic(self.cloud, clock)
        self.place = PLACE

    def add(self, rule_id: str) -> str:
        ref = self.cloud.add(f"i-{len(self.traffic.rules)}", state=ResourceState.RUNNING)
        return self.traffic.add(PLACE, rule_id, (ref,))

    def weigh(self, arn: str, instances: int, function: int) -> None:
        rule = self.traffic.rules[arn]
        (group, _), (ours, _) = rule.weights.groups
        rule.weights = type(rule.weights)(arn, ((group, instances), (ours, function)))

    @property
    def changes(self) -> int:
        return self.traffic.calls["put"]


@pytest.fixture
def moto() -> Iterator[OnMoto]:
    taps: list[OnMoto] = []

    def asked(model: OperationModel, **_: object) -> None:
        for each in taps:
            each.asked(model)

    tap = ("provide-client-params.elastic-load-balancing-v2", asked)
    BUILTIN_HANDLERS.append(tap)  # every client made from here on
    try:
        with fresh_aws():
            taps.append(OnMoto())
            yield taps[0]
    finally:
        BUILTIN_HANDLERS.remove(tap)


@pytest.fixture(params=["memory", "elbv2"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        return InMemory()
    found: OnMoto = request.getfixturevalue("moto")
    return found


def position(bench: Bench, rule_id: str = "ru_1") -> Position:
    return bench.traffic.look(bench.place, [rule_id])[rule_id].position


class TestLook:
    def test_every_rule_is_in_the_answer_and_one_without_listener_rules_is_missing(self, bench):
        bench.add("ru_1")
        found = bench.traffic.look(bench.place, ["ru_1", "ru_2"])
        assert {id_: traffic.position for id_, traffic in found.items()} == {"ru_1": INSTANCES, "ru_2": MISSING}

    def test_weights_of_both_are_mixed_and_so_are_two_listener_rules_that_differ(self, bench):
        one, _ = bench.add("ru_1"), bench.add("ru_2")
        bench.weigh(one, 50, 50)
        assert position(bench) is MIXED
        bench.weigh(one, 0, 100)
        assert position(bench) is FUNCTION
        assert position(bench, "ru_2") is INSTANCES

    def test_its_instance_groups_leave_the_function_out(self, bench):
        bench.add("ru_1")
        (group,) = bench.traffic.look(bench.place, ["ru_1"])["ru_1"].instance_groups
        assert ":targetgroup/as-ru-1/" in group


class TestPut:
    def test_there_and_back_is_a_round_trip_in_which_both_groups_stay(self, bench):
        bench.add("ru_1")
        before = bench.traffic.look(bench.place, ["ru_1"])["ru_1"]
        bench.traffic.put(before, FUNCTION)
        diverted = bench.traffic.look(bench.place, ["ru_1"])["ru_1"]
        assert diverted.position is FUNCTION
        assert diverted.instance_groups == before.instance_groups
        bench.traffic.put(diverted, INSTANCES)
        assert bench.traffic.look(bench.place, ["ru_1"])["ru_1"] == before

    def test_nobody_elses_rule_is_changed(self, bench):
        bench.add("ru_1")
        bench.add("ru_2")
        bench.traffic.put(bench.traffic.look(bench.place, ["ru_1"])["ru_1"], FUNCTION)
        assert (position(bench), position(bench, "ru_2")) == (FUNCTION, INSTANCES)
        assert bench.changes == 1

    def test_what_is_so_already_is_not_asked_for_again(self, bench):
        bench.add("ru_1")
        bench.traffic.put(bench.traffic.look(bench.place, ["ru_1"])["ru_1"], INSTANCES)
        assert bench.changes == 0

    def test_a_mix_is_mended(self, bench):
        bench.weigh(bench.add("ru_1"), 50, 50)
        bench.traffic.put(bench.traffic.look(bench.place, ["ru_1"])["ru_1"], FUNCTION)
        assert position(bench) is FUNCTION


class TestOnMoto:
    def test_a_foreign_rule_and_one_of_another_load_balancer_of_ours_are_not_seen(self, moto):
        group = moto.group("ru_1")
        foreign = moto.put(moto.forward(group, 100, 0), {"team": "payments"})
        other = moto.put(moto.forward(group, 100, 0), {"autostop:load-balancer": "lb_2", "autostop:rule": "ru_1"})
        assert position(moto) is MISSING
        moto.traffic.put(moto.traffic.look(moto.place, ["ru_1"])["ru_1"], FUNCTION)
        assert moto.changes == 0
        assert moto.actions(foreign)[0]["ForwardConfig"]["TargetGroups"][0]["Weight"] == 100
        assert moto.actions(other)[0]["ForwardConfig"]["TargetGroups"][0]["Weight"] == 100

    def test_a_redirect_of_ours_is_no_traffic(self, moto):
        redirect = [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "StatusCode": "HTTP_301"}}]
        moto.put(redirect, {"autostop:load-balancer": "lb_alb", "autostop:rule": "ru_1"})
        assert position(moto) is MISSING

    def test_a_look_costs_a_call_a_listener_and_tags_are_asked_for_once_by_twenties(self, moto):
        for n in range(25):
            moto.add(f"ru_{n}")
        moto.calls.clear()
        moto.traffic.look(moto.place, ["ru_0"])
        assert moto.calls == {"DescribeRules": 2, "DescribeTags": 2}
        moto.traffic.look(moto.place, ["ru_1", "ru_24"])
        assert moto.calls == {"DescribeRules": 4, "DescribeTags": 2}

    def test_health_costs_a_call_and_is_not_known_without_targets(self, moto):
        moto.add("ru_1")
        traffic = moto.traffic.look(moto.place, ["ru_1"])["ru_1"]
        moto.calls.clear()
        assert moto.traffic.healthy(traffic) is None
        assert moto.calls == {"DescribeTargetHealth": 1}
        moto.elb.register_targets(
            TargetGroupArn=traffic.instance_groups[0], Targets=[{"Id": "172.31.0.9", "Port": 8080}]
        )
        assert moto.traffic.healthy(traffic) is True
