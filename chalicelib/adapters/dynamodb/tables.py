"""CloudFormation for the tables, made from the models, so that they are declared once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pynamodb.attributes import TTLAttribute

from chalicelib.adapters.dynamodb.models import ALL_MODELS, SHORT_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pynamodb.models import Model

K = TypeVar("K", bound="Mapping[str, object]")


def table_resources(prefix: str, *, protect: bool = True) -> dict[str, dict[str, Any]]:
    """Logical id → `AWS::DynamoDB::Table` for every model.

    `protect`: deletion protection, point-in-time recovery, and the table stays when the stack goes.
    """
    return {_logical(SHORT_NAMES[model]): _resource(model, prefix, protect=protect) for model in ALL_MODELS}


def _logical(short_name: str) -> str:
    return "".join(part.title() for part in short_name.split("-")) + "Table"


def _resource(model: type[Model], prefix: str, *, protect: bool) -> dict[str, Any]:
    schema = model._get_schema()  # noqa: SLF001  (PynamoDB's own CreateTable arguments)
    ttl = [a.attr_name for a in model.get_attributes().values() if isinstance(a, TTLAttribute)]
    properties: dict[str, Any] = {
        "TableName": prefix + SHORT_NAMES[model],
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _hash_first(schema["key_schema"]),
        "AttributeDefinitions": schema["attribute_definitions"],
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": protect},
        "DeletionProtectionEnabled": protect,
        "Tags": [{"Key": "autostop", "Value": "table"}],
    }
    indexes = schema.get("global_secondary_indexes") or []
    if indexes:
        properties["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index["index_name"],
                "KeySchema": _hash_first(index["key_schema"]),
                "Projection": index["projection"],
            }
            for index in indexes
        ]
    if ttl:
        properties["TimeToLiveSpecification"] = {"AttributeName": ttl[0], "Enabled": True}
    policy = "Retain" if protect else "Delete"
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": policy,
        "UpdateReplacePolicy": policy,
        "Properties": properties,
    }


def _hash_first(schema: Sequence[K]) -> list[K]:
    """PynamoDB has them by the names of attributes; CloudFormation refuses a table whose first key is not its hash key.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_KeySchemaElement.html
    """
    return sorted(schema, key=lambda element: element["KeyType"] != "HASH")
