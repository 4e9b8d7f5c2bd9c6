"""What a month costs, as `scripts/bench cost` counted it (docs/explanation/cost.md)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def lines(root: Path) -> Iterator[str]:
    """One for each size of account that was counted."""
    found = json.loads((root / "docs" / "explanation" / "cost.json").read_text())
    for row in found["rows"]:
        yield f"{row['usd_per_month']:>8.2f} USD a month for {row['rules']:,} rules ({row['kind']})"
