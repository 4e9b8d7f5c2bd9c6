"""A month of what was counted, in dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.costs.prices import DATA_PLANE, Quantity, usd

if TYPE_CHECKING:
    from scripts.costs.scenarios import Counted


def lines_of(counted: Counted) -> dict[str, float]:
    """USD a month by the names of the items, the dearest first."""
    found = {quantity.value: usd(quantity, amount) for quantity, amount in counted.quantities.items()}
    return dict(sorted(found.items(), key=lambda line: -line[1]))


def row_of(counted: Counted) -> dict[str, Any]:
    """As docs/explanation/cost.json has it."""
    lines = lines_of(counted)
    return {
        "rules": counted.rules,
        "kind": counted.kind,
        "load_balancers": counted.balancers,
        "counted_hours": round(counted.stretch.total_seconds() / 3600, 3),
        "usd_per_month": round(sum(lines.values()), 2),
        "of_which_metrics_and_alarms": round(
            sum(lines.get(q.value, 0.0) for q in (Quantity.METRICS, Quantity.ALARMS)), 2
        ),
        "data_plane_usd_per_month": round(counted.balancers * DATA_PLANE[counted.kind.partition("_")[0]], 2),
        "lines": {name: round(amount, 3) for name, amount in lines.items()},
        "quantities": {q.value: _round(counted.quantities[q]) for q in Quantity if q in counted.quantities},
        "functions": {
            name: {"runs": round(runs), "seconds": round(counted.seconds[name], 3)}
            for name, runs in sorted(counted.invocations.items())
        },
    }


def _round(amount: float) -> float:
    return round(amount) if amount >= 100 else round(amount, 4)  # noqa: PLR2004
