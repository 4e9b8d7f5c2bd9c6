"""What each function may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts import policies
from scripts.reference.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterator


def page() -> str:
    """Every statement of every function's policy."""
    parts = [
        f"## {function}\n\n{table(('statement', 'actions', 'on', 'if'), _rows(function))}"
        for function in policies.TABLES
    ]
    return f"""# What each function may do

One role a function, one policy a role (`.chalice/policy-NAME.json`, made by `python -m scripts.policies`). Tests run every function
and hold its calls against its policy, and the embedded cloud enforces them. The role of `provision` is bounded by
`autostop-STAGE-provision-boundary`, and the roles that it makes for proxies by `autostop-STAGE-proxy-boundary`. Only
`reconcile` may stop anything.

{chr(10).join(parts)}"""


def _rows(function: str) -> Iterator[list[str]]:
    for statement in policies.policy(function)["Statement"]:
        yield [
            statement["Sid"],
            ", ".join(f"`{action}`" for action in _list(statement["Action"])),
            ", ".join(f"`{arn}`" for arn in _list(statement["Resource"])),
            "; ".join(_conditions(statement.get("Condition", {}))),
        ]


def _conditions(condition: dict[str, Any]) -> Iterator[str]:
    for operator, keys in condition.items():
        for key, value in keys.items():
            yield f"{operator} `{key}` {', '.join(f'`{one}`' for one in _list(value))}"


def _list(value: Any) -> list[str]:  # noqa: ANN401  (a string, or several)
    return [value] if isinstance(value, str) else [str(one) for one in value]
