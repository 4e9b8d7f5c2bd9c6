"""How large the package is that Lambda gets, zipped."""

from __future__ import annotations

from scripts.benches.report import report
from scripts.local import stack

BUDGET_MB = 22.0
"""Of which botocore alone is 16."""


def run() -> None:
    """Build it, unless it is there."""
    report("package", "package_mb", package_mb(), "MB", budget=BUDGET_MB)


def package_mb() -> float:
    """In millions of bytes."""
    return (stack.package() / "deployment.zip").stat().st_size / 1e6
