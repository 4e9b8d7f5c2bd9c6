"""What a month of the control plane costs, by counted calls at list prices (scripts/costs).

`--write` keeps the counts as docs/explanation/cost.json, which docs/explanation/cost.md is made from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts import cost_table
from scripts.benches.report import report
from scripts.costs.bill import row_of
from scripts.costs.scenarios import ALL_ON_ALBS, BUSY_ON_PROXIES, KINDS, ON_PROXIES, count

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = (10, 100, 1_000, 10_000)
_SIZES = {ON_PROXIES: SIZES, BUSY_ON_PROXIES: (1_000,), ALL_ON_ALBS: SIZES[:-1]}
"""Not 10,000 on ALBs: moto sorts a whole table for each query, and would take half an hour to say ten times as much."""

CASES = tuple((kind, rules) for kind in KINDS for rules in _SIZES[kind])
BUDGETS = {("proxy", 10): 2.0, ("proxy", 1_000): 25.0, ("alb", 1_000): 45.0}


def run(*, write: bool = False, cases: Sequence[tuple[str, int]] = CASES) -> None:
    """Count each; some minutes for all of them."""
    rows: list[dict[str, Any]] = []
    for kind, rules in cases:
        row = row_of(count(kind, rules))
        rows.append(row)
        budget = BUDGETS.get((kind, rules))
        report("cost", f"usd_per_month_{kind}_{rules}", row["usd_per_month"], "USD", budget=budget)
    if write:
        cost_table.keep(rows)
