"""`python -m scripts.benches [NAME ...]`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from scripts.benches import config, decide, imports, ingest, reconcile

if TYPE_CHECKING:
    from collections.abc import Callable

BENCHES: dict[str, Callable[[], None]] = {
    "decide": decide.run,
    "import": imports.run,
    "reconcile": reconcile.run,
    "ingest": ingest.run,
    "config": config.run,
}


def main() -> int:
    """Run the benches named, or all. Answers the exit code."""
    names = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        sys.stderr.write(f"no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}\n")
        return 2
    for name in names:
        BENCHES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
