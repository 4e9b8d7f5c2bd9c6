"""`tag_change`: what AWS says of changed tags has the rules that go by them looked at, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from chalicelib.entrypoints.tag_change import PATTERN, tag_change
from tests.builders import make_rule
from tests.contract.conftest_aws import REGION
from tests.unit.entrypoints.conftest import CONTEXT, documented
from tests.unit.entrypoints.test_policies import refused

if TYPE_CHECKING:
    from tests.unit.entrypoints.conftest import Stage

NOBODY = {"rules": 0, "places": 0, "unread": 0, "changed": 0}


def test_the_pattern_is_for_what_aws_sends() -> None:
    event = documented("tag_change")
    assert event["source"] in PATTERN["source"]
    assert event["detail-type"] in PATTERN["detail-type"]
    detail: Any = PATTERN["detail"]
    assert event["detail"]["service"] in detail["service"]
    assert event["detail"]["resource-type"] in detail["resource-type"]


def test_whoever_gets_the_tag_of_a_rule_joins_it_at_once(stage: Stage) -> None:
    instance_id = stage.instance()
    ec2 = boto3.client("ec2", region_name=REGION)
    ec2.create_tags(Resources=[instance_id], Tags=[{"Key": "a-new-key", "Value": "tagged"}])
    stage.stores.rules.create(make_rule("ru_1", resource_ids=(), tags=(("a-new-key", "tagged"),)), "{}")
    other = {"resource_ids": (), "load_balancer_id": None, "http": ()}
    stage.stores.rules.create(make_rule("ru_2", tags=(("another", "x"),), **other), None)
    stage.calls.clear()
    told = tag_change(documented("tag_change"), CONTEXT)
    assert told == {"rules": 1, "places": 1, "unread": 0, "changed": 1}
    assert stage.stores.rules.get("ru_1").members == (instance_id,)
    assert [request.rule_ids for request in stage.messages()] == [("ru_1",)]
    assert refused(stage, "tag_change") == []
    assert tag_change(documented("tag_change"), CONTEXT)["changed"] == 0


def test_tags_that_no_rule_goes_by_cost_one_read(stage: Stage) -> None:
    stage.calls.clear()
    assert tag_change(documented("tag_change"), CONTEXT) == NOBODY
    assert [(service, name) for service, name, _ in stage.calls] == [("dynamodb", "Query")]


@pytest.mark.parametrize("detail", [None, {}, {"service": "s3", "changed-tag-keys": ["x"]}, {"service": "ec2"}])
def test_what_tells_of_no_tags_looks_at_nothing(stage: Stage, detail: object) -> None:
    stage.calls.clear()
    assert tag_change(documented("tag_change", detail=detail), CONTEXT) == {"rules": 0}
    assert stage.calls == []
