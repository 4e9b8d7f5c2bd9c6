"""What ELBv2 does and moto does not: pages, targets that are not healthy yet, refusals, the request of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.adapters.aws.alb_traffic import AwsAlbTraffic
from chalicelib.domain.alb_traffic import Position, RuleTraffic, Weights
from chalicelib.domain.errors import CloudError, ThrottledError
from tests.unit.alb_world import FUNCTION_GROUP, LISTENER, PLACE
from tests.unit.aws.conftest import refusal

if TYPE_CHECKING:
    from tests.unit.aws.conftest import Wire

GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/as-ru-1/1"


def rule(n: int, *groups: tuple[str, int]) -> dict[str, Any]:
    to = {"TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in groups]}
    return {"RuleArn": f"{LISTENER}/{n}", "IsDefault": False, "Actions": [{"Type": "forward", "ForwardConfig": to}]}


def traffic(*weights: Weights) -> RuleTraffic:
    return RuleTraffic("ru_1", PLACE, weights)


ONE = Weights(f"{LISTENER}/1", ((GROUP, 100), (FUNCTION_GROUP, 0)))


def test_rules_of_all_pages_are_seen(wire: Wire) -> None:
    wire.tap("elbv2")
    pages = {None: ([rule(1, (GROUP, 100))], "more"), "more": ([rule(2, (GROUP, 0), (FUNCTION_GROUP, 100))], None)}

    def rules(params: dict[str, Any]) -> dict[str, Any]:
        found, marker = pages[params.get("Marker")]
        return {"Rules": found} | ({"NextMarker": marker} if marker else {})

    def tags(params: dict[str, Any]) -> dict[str, Any]:
        ours = [{"Key": "autostop:load-balancer", "Value": "lb_alb"}, {"Key": "autostop:rule", "Value": "ru_1"}]
        return {"TagDescriptions": [{"ResourceArn": arn, "Tags": ours} for arn in params["ResourceArns"]]}

    wire.on |= {"DescribeRules": rules, "DescribeTags": tags}
    found = AwsAlbTraffic().look(PLACE, ["ru_1"])["ru_1"]
    assert [weights.arn for weights in found.weights] == [f"{LISTENER}/1", f"{LISTENER}/2"]
    assert found.position is Position.MIXED


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        (["initial"], False),
        (["unhealthy", "healthy"], True),
        (["unused", "draining", "unavailable"], False),
        ([], None),
    ],
)
def test_one_healthy_target_is_enough_and_anything_else_is_not(
    wire: Wire, states: list[str], verdict: bool | None
) -> None:
    wire.tap("elbv2")
    wire.on["DescribeTargetHealth"] = lambda _: {
        "TargetHealthDescriptions": [{"TargetHealth": {"State": state}} for state in states]
    }
    assert AwsAlbTraffic().healthy(traffic(ONE)) is verdict
    assert wire.asked("DescribeTargetHealth") == [{"TargetGroupArn": GROUP}]


def test_a_change_names_both_groups_their_weights_and_no_stickiness(wire: Wire) -> None:
    wire.tap("elbv2")
    wire.on["ModifyRule"] = lambda _: {"Rules": []}
    AwsAlbTraffic().put(traffic(ONE), Position.FUNCTION)
    groups = [{"TargetGroupArn": GROUP, "Weight": 0}, {"TargetGroupArn": FUNCTION_GROUP, "Weight": 100}]
    to = {"TargetGroups": groups, "TargetGroupStickinessConfig": {"Enabled": False}}
    assert wire.asked("ModifyRule") == [
        {"RuleArn": f"{LISTENER}/1", "Actions": [{"Type": "forward", "ForwardConfig": to}]}
    ]


def test_the_function_is_put_back_where_somebody_took_it_out(wire: Wire) -> None:
    wire.tap("elbv2")
    wire.on["ModifyRule"] = lambda _: {"Rules": []}
    AwsAlbTraffic().put(traffic(Weights(ONE.arn, ((GROUP, 1),))), Position.FUNCTION)
    (asked,) = wire.asked("ModifyRule")
    groups = asked["Actions"][0]["ForwardConfig"]["TargetGroups"]
    assert {group["TargetGroupArn"]: group["Weight"] for group in groups} == {GROUP: 0, FUNCTION_GROUP: 100}


def test_without_a_group_of_instances_nothing_is_sent_nowhere(wire: Wire) -> None:
    wire.tap("elbv2")
    AwsAlbTraffic().put(traffic(Weights(ONE.arn, ((FUNCTION_GROUP, 100),))), Position.INSTANCES)
    assert wire.calls == []


def test_refusals_come_in_our_words(wire: Wire) -> None:
    wire.tap("elbv2")

    def throttled(_: dict[str, Any]) -> dict[str, Any]:
        raise refusal("Throttling", operation="ModifyRule")

    def refused(_: dict[str, Any]) -> dict[str, Any]:
        raise refusal("RuleNotFound", operation="ModifyRule")

    wire.on["ModifyRule"] = throttled
    with pytest.raises(ThrottledError):
        AwsAlbTraffic().put(traffic(ONE), Position.FUNCTION)
    wire.on["ModifyRule"] = refused
    with pytest.raises(CloudError, match="words of AWS"):
        AwsAlbTraffic().put(traffic(ONE), Position.FUNCTION)
