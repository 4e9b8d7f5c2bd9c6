"""What an interrupted `chalice deploy` left is found again, and nobody else's API is taken for ours."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.deployment.adopt import adopt
from scripts.deployment.stage import Stage

HERE = Stage("dev", "eu-central-1", "123456789012", Path("/nowhere"))
ARN = "arn:aws:lambda:eu-central-1:123456789012:function"
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:autostop-dev-reconcile"


class Pages:
    def __init__(self, key: str, items: list[dict[str, Any]]) -> None:
        self._page = {key: items}

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [self._page]


class Gateway:
    """REST APIs by id: the function that they call, when they were made, whether they are deployed."""

    def __init__(self, **apis: tuple[str, int, bool]) -> None:
        self._apis = apis

    def get_paginator(self, operation: str) -> Any:
        if operation == "get_rest_apis":
            made = {id_: datetime(2026, 11, day, tzinfo=UTC) for id_, (_, day, _) in self._apis.items()}
            return Pages("items", [{"id": id_, "name": "autostop", "createdDate": at} for id_, at in made.items()])
        return self

    def paginate(self, *, restApiId: str, embed: list[str]) -> list[dict[str, Any]]:  # noqa: N803  (boto3's name)
        function = f"{ARN}:{self._apis[restApiId][0]}"
        uri = f"arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/{function}/invocations"
        return [{"items": [{}, {"resourceMethods": {"GET": {"methodIntegration": {"uri": uri}}}}]}]

    def get_stages(self, *, restApiId: str) -> Any:  # noqa: N803  (boto3's name)
        return {"item": [{}] if self._apis[restApiId][2] else []}


class Functions:
    def __init__(self, *uuids: str) -> None:
        self._uuids = uuids

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, *, FunctionName: str) -> list[dict[str, Any]]:  # noqa: N803  (boto3's name)
        found = [
            {"UUID": uuid, "EventSourceArn": QUEUE, "FunctionArn": f"{ARN}:{FunctionName}"} for uuid in self._uuids
        ]
        return [{"EventSourceMappings": found if FunctionName == "autostop-dev-reconcile" else []}]


def named(deployed: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [one for one in deployed["resources"] if one["name"] == name]


def test_an_api_and_a_mapping_that_were_recorded_nowhere_are_found():
    found = adopt(HERE, None, Gateway(a1=("autostop-dev", 1, True)), Functions("u-1"))
    assert named(found.deployed, "rest_api")[0]["rest_api_id"] == "a1"
    assert named(found.deployed, "reconcile-sqs-event-source")[0]["event_uuid"] == "u-1"
    assert found.found == ("rest_api", "reconcile-sqs-event-source")
    assert found.orphans == ()


def test_the_api_of_another_stage_or_of_somebody_else_is_left_alone():
    gateway = Gateway(
        a1=("autostop-dev-warm_up", 1, True), a2=("autostop-prod", 1, True), a3=("x-autostop-dev", 1, True)
    )
    found = adopt(HERE, None, gateway, Functions())
    assert found.deployed["resources"] == []
    assert found.orphans == ()


def test_of_several_the_oldest_that_is_deployed_is_taken_and_the_others_are_named():
    gateway = Gateway(a1=("autostop-dev", 1, False), a2=("autostop-dev", 2, True), a3=("autostop-dev", 3, True))
    found = adopt(HERE, None, gateway, Functions())
    assert named(found.deployed, "rest_api")[0]["rest_api_id"] == "a2"
    assert found.orphans == ("a1", "a3")


def test_what_was_recorded_and_is_there_stays_as_it_was_recorded():
    recorded = {
        "resources": [
            {"name": "rest_api", "resource_type": "rest_api", "rest_api_id": "a3", "rest_api_url": "https://a3/"},
            {"name": "tick", "resource_type": "lambda_function", "lambda_arn": f"{ARN}:autostop-dev-tick"},
        ]
    }
    gateway = Gateway(a2=("autostop-dev", 2, True), a3=("autostop-dev", 3, True))
    found = adopt(HERE, recorded, gateway, Functions())
    assert found.deployed["resources"] == recorded["resources"]
    assert found.orphans == ("a2",)


def test_a_record_of_what_is_gone_gives_way_to_what_is_there():
    recorded = {
        "resources": [
            {"name": "rest_api", "resource_type": "rest_api", "rest_api_id": "gone", "rest_api_url": ""},
            {"name": "reconcile-sqs-event-source", "resource_type": "sqs_event", "event_uuid": "gone"},
        ]
    }
    found = adopt(HERE, recorded, Gateway(a1=("autostop-dev", 1, True)), Functions("u-2"))
    assert [one["rest_api_id"] for one in named(found.deployed, "rest_api")] == ["a1"]
    assert [one["event_uuid"] for one in named(found.deployed, "reconcile-sqs-event-source")] == ["u-2"]
