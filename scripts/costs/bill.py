"""A month of what was counted, in dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.costs.prices import DATA_PLANE, Quantity, usd

if TYPE_CHECKING:
    from scripts.costs.scenarios import Counted


OF_PROXIES = frozenset({Quantity.SECRET_CALLS})
"""Asked for by agents on their VMs, beside the secrets that they keep there."""


def lines_of(counted: Counted) -> dict[str, float]:
    """USD a month by the names of the items, the dearest first."""
    ours = {quantity: amount for quantity, amount in counted.quantities.items() if quantity not in OF_PROXIES}
    found = {quantity.value: usd(quantity, amount) for quantity, amount in ours.items()}
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
        "data_plane_usd_per_month": round(_data_plane(counted), 2),
        "lines": {name: round(amount, 3) for name, amount in lines.items()},
        "quantities": {q.value: _round(counted.quantities[q]) for q in Quantity if q in counted.quantities},
        "functions": {
            name: {"runs": round(runs), "seconds": round(counted.seconds[name], 3)}
            for name, runs in sorted(counted.invocations.items())
        },
    }


def _data_plane(counted: Counted) -> float:
    """What carries the traffic, with the calls that its agents make under roles of their own."""
    calls = sum(usd(quantity, counted.quantities.get(quantity, 0.0)) for quantity in OF_PROXIES)
    return counted.balancers * DATA_PLANE[counted.kind.partition("_")[0]] + calls


def _round(amount: float) -> float:
    return round(amount) if amount >= 100 else round(amount, 4)  # noqa: PLR2004
