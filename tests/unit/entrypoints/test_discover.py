"""The `discover` function: what it does, and that its policy allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3

from chalicelib.adapters.aws.clients import forget as forget_clients
from chalicelib.domain.resources import Connector
from chalicelib.entrypoints.discover import discover
from tests.builders import make_rule
from tests.contract.conftest_aws import REGION
from tests.unit.entrypoints.conftest import CONTEXT, documented
from tests.unit.entrypoints.test_policies import call_api, refused

if TYPE_CHECKING:
    from tests.unit.entrypoints.conftest import Stage


def test_discover_without_rules_by_tags_only_reads_their_index(stage: Stage) -> None:
    stage.add_rule("i-0001")
    stage.calls.clear()
    assert discover(documented("schedule"), CONTEXT) == {"rules": 0, "places": 0, "unread": 0, "changed": 0}
    assert [(service, name) for service, name, _ in stage.calls] == [("dynamodb", "Query")]
    assert stage.calls[0][2]["IndexName"] == "tagged"


def test_discover_lets_what_has_the_tags_join(stage: Stage) -> None:
    instance_id = stage.instance()
    boto3.client("ec2", region_name=REGION).create_tags(
        Resources=[instance_id], Tags=[{"Key": "env", "Value": "handlers"}]
    )
    stage.stores.rules.create(make_rule("ru_1", resource_ids=(), tags=(("env", "handlers"),)), "{}")
    assert discover(documented("schedule"), CONTEXT) == {"rules": 1, "places": 1, "unread": 0, "changed": 1}
    assert stage.stores.rules.get("ru_1").members == (instance_id,)


def test_discover_may_let_resources_join_and_leave(stage: Stage) -> None:
    mine = {"env": "discover"}
    instance_ids = [stage.instance(), stage.instance()]
    ec2 = boto3.client("ec2", region_name=REGION)
    ec2.create_tags(Resources=instance_ids, Tags=[{"Key": "env", "Value": "discover"}])
    rule = make_rule("ru_1", resource_ids=(), tags=tuple(mine.items()))
    stage.stores.rules.create(rule, "{}")
    stage.stores.rules.create(make_rule("ru_2", resource_ids=("i-1",), load_balancer_id=None, http=()), None)
    stage.calls.clear()
    assert discover(documented("schedule"), CONTEXT)["changed"] == 1
    assert stage.stores.rules.get("ru_1").members == tuple(sorted(instance_ids))
    assert [request.rule_ids for request in stage.messages()] == [("ru_1",)]
    ec2.delete_tags(Resources=instance_ids[:1], Tags=[{"Key": "env"}])
    ec2.terminate_instances(InstanceIds=instance_ids[1:])
    stage.calls = [call for call in stage.calls if call[1] not in {"ReceiveMessage", "DeleteTags"}]
    stage.calls = [call for call in stage.calls if call[1] != "TerminateInstances"]
    discover(documented("schedule"), CONTEXT)
    assert stage.stores.rules.get("ru_1").members == ()
    assert refused(stage, "discover") == []


def test_discover_may_go_to_another_account(stage: Stage) -> None:
    forget_clients()
    theirs = Connector("arn:aws:iam::210987654321:role/autostop-access", "e1")
    rule = make_rule("ru_1", resource_ids=(), tags=(("env", "x"),), connector=theirs, load_balancer_id=None, http=())
    stage.stores.rules.create(rule, None)
    stage.calls.clear()
    discover(documented("schedule"), CONTEXT)
    assert ("sts", "AssumeRole") in [(service, operation) for service, operation, _ in stage.calls]
    assert refused(stage, "discover") == []


def test_the_api_may_make_change_and_delete_rules_by_tags(stage: Stage) -> None:
    instance_id = stage.instance()
    boto3.client("ec2", region_name=REGION).create_tags(
        Resources=[instance_id], Tags=[{"Key": "env", "Value": "routes"}]
    )
    call = call_api(stage)
    stage.calls.clear()
    resources = {"kind": "ec2", "region": REGION, "tags": {"env": "routes"}}
    on_proxy = {"load_balancer_id": "lb_1", "http": [{"hosts": ["b.example.com"], "target": {"port": 80}}]}
    body = {"name": "team", "resources": resources}
    team = call("POST", "/rules", body | on_proxy).json_body
    assert team["members"] == [instance_id]
    call("PUT", f"/rules/{team['id']}", body | {"resources": resources | {"region": "eu-west-1"}})
    call("PUT", f"/rules/{team['id']}", body)
    call("DELETE", f"/rules/{team['id']}")
    assert refused(stage, "api_handler") == []
