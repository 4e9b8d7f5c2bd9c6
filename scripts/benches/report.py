"""The one line that every measurement is."""

from __future__ import annotations

import json
import sys


def report(
    bench: str, metric: str, value: float, unit: str, baseline: float | None = None, budget: float | None = None
) -> None:
    """`ratio` is value / baseline, where a baseline was measured in the same run.

    `budget` is what the ratio, or without a baseline the value, should stay within: told, not judged.
    """
    line: dict[str, str | float | None] = {
        "bench": bench,
        "metric": metric,
        "value": round(value, 3),
        "unit": unit,
        "baseline": None if baseline is None else round(baseline, 3),
        "ratio": None if not baseline else round(value / baseline, 3),
    }
    if budget is not None:
        line["budget"] = budget
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
