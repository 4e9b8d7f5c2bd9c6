"""Selection by tags, through the public contract."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from chalicelib.domain.errors import CloudError
from chalicelib.domain.membership import MAX_LEFT_OUT
from chalicelib.domain.resources import Protection, ResourceState

RULE = {
    "name": "staging",
    "resources": {"kind": "ec2", "region": "us-east-1", "tags": {"env": "staging"}},
}
A, B, C = "i-0000000a", "i-0000000b", "i-0000000c"


def having(**resources: Any) -> dict[str, Any]:
    body = copy.deepcopy(RULE)
    body["resources"] |= resources
    return body


def tag(api, id_: str, **tags: str) -> Any:
    (instance,) = [i for ref, i in api.world.cloud.instances.items() if ref.id == id_]
    instance.tags = tags
    return instance


def test_a_rule_by_tags_has_its_members_in_the_answer(api):
    tag(api, A, env="staging", team="web").state = ResourceState.RUNNING
    tag(api, B, env="staging")
    answer = api("POST", "/rules", having(tags={"team": "web", "env": "staging"}))
    assert answer.status_code == 201, answer.body
    rule = answer.json_body
    assert rule["resources"]["tags"] == {"env": "staging", "team": "web"}
    assert (rule["resources"]["instance_ids"], rule["members"], rule["state"]) == ([], [A], "up")
    api.world.work()
    again = api("GET", f"/rules/{rule['id']}").json_body
    assert [seen["id"] for seen in again["resources_observed"]] == [A]
    assert api("GET", f"/rules/{rule['id']}/explain").json_body["evidence"][0]["source"] == f"ec2 {A}"
    kinds = [event["kind"] for event in api("GET", f"/rules/{rule['id']}/events").json_body["items"]]
    assert sorted(kinds)[:1] == ["decided"]
    assert {"rule_created", "resource_joined"} <= set(kinds)


def test_named_and_tagged_make_one_rule_and_what_is_answered_can_be_sent_back(api):
    tag(api, B, env="staging")
    made = api("POST", "/rules", having(instance_ids=[A])).json_body
    assert (made["resources"]["instance_ids"], made["members"]) == ([A], [B])
    answer = api("PATCH", f"/rules/{made['id']}", {"name": "new"})
    assert (answer.status_code, answer.json_body["name"], answer.json_body["members"]) == (200, "new", [B])


def test_a_patch_changes_one_tag_and_takes_another_away(api):
    tag(api, A, env="staging", team="web")
    tag(api, B, env="test")
    made = api("POST", "/rules", having(tags={"env": "staging", "team": "web"})).json_body
    path = f"/rules/{made['id']}"
    changed = api("PATCH", path, {"resources": {"tags": {"env": "test", "team": None}}}).json_body
    assert (changed["resources"]["tags"], changed["members"]) == ({"env": "test"}, [B])
    refused = api("PATCH", path, {"resources": {"tags": None}})
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json_body["errors"]] == ["resources.instance_ids"]


def test_a_rule_without_any_resource_now_is_made_and_is_down(api):
    made = api("POST", "/rules", RULE).json_body
    assert (made["state"], made["members"], made["resources_observed"]) == ("down", [], [])
    api.world.work()
    assert api("GET", f"/rules/{made['id']}").json_body["state_reason"]["code"] == "no_resources"


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        ({"tags": {}}, "resources.instance_ids"),
        ({"tags": {"aws:autoscaling:groupName": "x"}}, "resources.tags.aws:autoscaling:groupName"),
        ({"tags": {"AWS:x": "x"}}, "resources.tags.AWS:x"),
        ({"tags": {"": "x"}}, "resources.tags."),
        ({"tags": {"k" * 129: "x"}}, f"resources.tags.{'k' * 129}"),
        ({"tags": {"env": "v" * 257}}, "resources.tags.env"),
        ({"tags": {"env": 1}}, "resources.tags.env"),
        ({"tags": {"env": None}}, "resources.tags.env"),
        ({"tags": {f"k{n}": "x" for n in range(11)}}, "resources.tags"),
        ({"tags": ["env"]}, "resources.tags"),
        ({"tags": "env=staging"}, "resources.tags"),
    ],
)
def test_wrong_tags_are_refused_by_their_field(api, resources, field):
    answer = api("POST", "/rules", having(**resources))
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json_body["errors"]] == [field]


@pytest.mark.parametrize(
    "tags",
    [
        {"k" * 128: "v" * 256},
        {"env": ""},
        {"Kostenstelle: München / *?": "ä b"},
        {f"k{n}": "x" for n in range(10)},
        {"awsome": "x"},
    ],
)
def test_what_aws_takes_for_a_tag_is_taken(api, tags):
    tag(api, A, **tags)
    answer = api("POST", "/rules", having(tags=tags))
    assert answer.status_code == 201, answer.body
    assert (answer.json_body["resources"]["tags"], answer.json_body["members"]) == (tags, [A])


def test_one_that_another_rule_has_is_refused_by_id_and_left_out_by_tag(api):
    tag(api, A, env="staging")
    first = api("POST", "/rules", RULE).json_body
    refused = api("POST", "/rules", {"name": "x", "resources": RULE["resources"] | {"tags": {}, "instance_ids": [A]}})
    assert (refused.status_code, refused.json_body["errors"]) == (
        409,
        [{"field": f"instance {A}", "message": f"belongs to rule {first['id']}"}],
    )
    second = api("POST", "/rules", having()).json_body
    assert second["members"] == []
    assert f"{A} has its tags and is left out: it belongs to rule {first['id']}." in second["warnings"]
    kinds = [event["kind"] for event in api("GET", f"/rules/{second['id']}/events").json_body["items"]]
    assert kinds.count("resource_left_out") == 1


def test_what_must_never_be_stopped_is_refused_by_id_and_left_out_by_tag(api):
    instance = tag(api, A, env="staging")
    instance.protections = (Protection.STOP_PROTECTION,)
    assert api("POST", "/rules", having(instance_ids=[A])).status_code == 400
    made = api("POST", "/rules", RULE).json_body
    words = f"{A} has its tags and is left out: it has stop protection (disableApiStop) switched on."
    assert (made["members"], words in made["warnings"]) == ([], True)


def test_of_many_left_out_it_is_said_that_there_may_be_more(api):
    for n in range(MAX_LEFT_OUT + 1):
        ref = api.world.cloud.add(f"i-{n:08x}f", protections=(Protection.AUTO_SCALING,))
        api.world.cloud.instances[ref].tags = {"env": "staging"}
    warnings = api("POST", "/rules", RULE).json_body["warnings"]
    assert len([words for words in warnings if "is left out" in words]) == MAX_LEFT_OUT
    assert f"There may be more that are left out; {MAX_LEFT_OUT} are named." in warnings


def test_a_look_that_fails_keeps_the_rule_from_nothing_and_is_a_warning_until_it_works_again(api):
    tag(api, A, env="staging")
    for _ in range(2):
        api.world.cloud.fail_next["tagged"].append(CloudError("UnauthorizedOperation", "not authorized"))
    made = api("POST", "/rules", RULE)
    assert (made.status_code, made.json_body["members"]) == (201, [])
    api.world.discover.run()
    path = f"/rules/{made.json_body['id']}"
    assert any("could not be looked up: UnauthorizedOperation" in w for w in api("GET", path).json_body["warnings"])
    api.world.discover.run()
    after = api("GET", path).json_body
    assert (after["members"], [w for w in after["warnings"] if "looked up" in w]) == ([A], [])


def test_deleting_a_rule_by_tags_starts_its_members(api):
    tag(api, A, env="staging")
    made = api("POST", "/rules", RULE).json_body
    assert api("DELETE", f"/rules/{made['id']}").json_body["started"] == [A]


def test_the_document_of_the_api_has_the_limits_of_tags(api):
    schemas = api("GET", "/openapi.json", role=None).json_body["components"]["schemas"]
    tags = schemas["ResourcesBody"]["properties"]["tags"]
    assert tags["maxProperties"] == 10
    assert tags["additionalProperties"]["maxLength"] == 256
