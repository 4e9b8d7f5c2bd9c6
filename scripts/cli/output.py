"""What the commands print: JSON for programs, tables and sentences for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from tabulate import tabulate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDEST = 60


def as_json(value: object) -> None:
    """Indented."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def as_table(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
    """A line a row, with a heading; nothing but the heading for none."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    click.echo(tabulate(cells, [column.replace("_", " ").upper() for column in columns], tablefmt="plain"))


def as_explanation(told: dict[str, Any]) -> None:
    """`explain` in sentences."""
    blind = " It cannot be seen whether it is in use." if told["blind"] else ""
    click.echo(f"{told['rule_id']} is {told['state']} and should be {told['desired']}.{blind}")
    click.echo(f"{told['action']}, {told['reason']['code']}: {told['reason']['words']}")
    click.echo(f"Last used {told['last_activity_at'] or 'at no known time'}; looked at again {told['until']}.")
    for heading, rows, columns in (
        ("Evidence", told["evidence"], ("source", "value", "observed_at", "age_seconds", "covers_until")),
        ("The next seven days", told["schedule"], ("from", "to", "kind", "schedule_id")),
    ):
        if rows:
            click.echo(f"\n{heading}")
            as_table(rows, columns)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
