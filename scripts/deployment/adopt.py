"""What an interrupted `chalice deploy` made and recorded nowhere: found in the account, put into Chalice's own file.

Chalice writes that file at the very end. Without it, it would make a second REST API, and be refused a second event
source mapping. It finds functions, roles and event rules by their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from scripts.base_stack import function_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient

    from scripts.deployment.stage import Stage

    Resource = dict[str, Any]

API = "rest_api"
APP = "autostop"
SCHEMA = "2.0"


@dataclass(frozen=True, slots=True)
class Adopted:
    """Chalice's file as it should be before it runs.

    `found` names what was not recorded, `orphans` the ids of REST APIs that call our function and are not the stage's.
    """

    deployed: dict[str, Any]
    found: tuple[str, ...]
    orphans: tuple[str, ...]


def adopt(
    stage: Stage, recorded: Mapping[str, Any] | None, gateway: APIGatewayClient, functions: LambdaClient
) -> Adopted:
    """What was recorded, and what is there besides. It changes nothing in the account."""
    resources: list[Resource] = list((recorded or {}).get("resources", ()))
    apis = _apis(stage, gateway)
    known = next((one for one in resources if one["name"] == API), None)
    added: list[Resource] = []
    if known is None or known["rest_api_id"] not in apis:
        resources = [one for one in resources if one["name"] != API]
        if apis:
            # The oldest that is deployed has users, if any of them has.
            chosen = min(apis, key=lambda id_: (not apis[id_].deployed, apis[id_].created))
            url = f"https://{chosen}.execute-api.{stage.region}.amazonaws.com/api/"
            added.append({"name": API, "resource_type": API, "rest_api_id": chosen, "rest_api_url": url})
            known = added[-1]
    for mapping in _mappings(stage, functions):
        resources = [one for one in resources if one["name"] != mapping["name"] or one == mapping]
        if mapping not in resources:
            added.append(mapping)
    ours = known["rest_api_id"] if known is not None else None
    deployed = {"resources": [*resources, *added], "schema_version": SCHEMA, "backend": "api"}
    return Adopted(deployed, tuple(one["name"] for one in added), tuple(sorted(apis.keys() - {ours})))


def by_name(
    stage: Stage, recorded: Iterable[Resource], functions: LambdaClient, iam: IAMClient, events: EventBridgeClient
) -> Iterator[Resource]:
    """What else is there of the stage, by the names that Chalice gives: for whoever is to take all of it away.

    In the order in which Chalice makes them; it deletes them in the reverse one.
    """
    known = {one["name"] for one in recorded}
    for function, name in stage.functions.items():
        role = f"autostop-{stage.name}-{function}"
        if f"{function}_role" not in known and (arn := _role(iam, role)) is not None:
            yield {"name": f"{function}_role", "resource_type": "iam_role", "role_arn": arn, "role_name": role}
        if function not in known and (arn := _function(functions, name)) is not None:
            yield {"name": function, "resource_type": "lambda_function", "lambda_arn": arn}
        rule = f"{role}-event"
        if f"{function}-event" not in known and _is_there(events, rule):
            yield {"name": f"{function}-event", "resource_type": "cloudwatch_event", "rule_name": rule}


def _role(iam: IAMClient, name: str) -> str | None:
    try:
        return iam.get_role(RoleName=name)["Role"]["Arn"]
    except iam.exceptions.NoSuchEntityException:
        return None


def _function(functions: LambdaClient, name: str) -> str | None:
    try:
        return functions.get_function_configuration(FunctionName=name)["FunctionArn"]
    except functions.exceptions.ResourceNotFoundException:
        return None


def _is_there(events: EventBridgeClient, rule: str) -> bool:
    try:
        events.describe_rule(Name=rule)
    except events.exceptions.ResourceNotFoundException:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Api:
    created: str
    deployed: bool


def _apis(stage: Stage, gateway: APIGatewayClient) -> dict[str, _Api]:
    """The REST APIs that call this stage's function, by their ids."""
    function = f":function:{function_name(stage.name, 'api_handler')}/invocations"
    found: dict[str, _Api] = {}
    for page in gateway.get_paginator("get_rest_apis").paginate():
        for api in page["items"]:
            # Chalice names it after the app; an account can have hundreds of others, each of them a call to look at.
            if api.get("name") != APP:
                continue
            if any(uri.endswith(function) for uri in _uris(gateway, api["id"])):
                deployed = bool(gateway.get_stages(restApiId=api["id"])["item"])
                found[api["id"]] = _Api(str(api.get("createdDate", "")), deployed)
    return found


def _uris(gateway: APIGatewayClient, api: str) -> Iterator[str]:
    for page in gateway.get_paginator("get_resources").paginate(restApiId=api, embed=["methods"]):
        for resource in page["items"]:
            for method in resource.get("resourceMethods", {}).values():
                yield str(method.get("methodIntegration", {}).get("uri", ""))


def _mappings(stage: Stage, functions: LambdaClient) -> Iterator[Resource]:
    """The queues that functions are fed by, as Chalice records them."""
    for function, name in stage.functions.items():
        try:
            pages = list(functions.get_paginator("list_event_source_mappings").paginate(FunctionName=name))
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                continue
            raise
        for mapping in (one for page in pages for one in page["EventSourceMappings"]):
            if ":sqs:" in mapping["EventSourceArn"] and mapping.get("State") != "Deleting":
                yield {
                    "name": f"{function}-sqs-event-source",
                    "resource_type": "sqs_event",
                    "queue_arn": mapping["EventSourceArn"],
                    "event_uuid": mapping["UUID"],
                    "queue": mapping["EventSourceArn"].rsplit(":", 1)[1],
                    "lambda_arn": mapping["FunctionArn"],
                }
