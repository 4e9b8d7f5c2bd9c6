"""`python -m scripts.benches [NAME ...]`."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING

from scripts.benches import config, cost, decide, imports, ingest, package, reconcile, warmup
from scripts.benches.proxy import bench as proxy

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Run the benches named, or all."""
    usual = proxy.Sizes()
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--wakes", type=int, default=usual.wakes, help="proxy: how many of each kind")
    parser.add_argument("--held-tcp", type=int, default=usual.held_tcp, help="proxy: connections held at once")
    parser.add_argument("--held-http", type=int, default=usual.held_http, help="proxy: requests held at once")
    parser.add_argument("--rules", type=int, default=usual.rules, help="proxy: rules while one changes")
    parser.add_argument("--write", action="store_true", help="cost: keep what was counted for docs/explanation/cost.md")
    options = parser.parse_args()
    sizes = proxy.Sizes(options.wakes, options.held_tcp, options.held_http, options.rules)
    benches: dict[str, Callable[[], None]] = {
        "decide": decide.run,
        "import": imports.run,
        "reconcile": reconcile.run,
        "ingest": ingest.run,
        "config": config.run,
        "warmup": warmup.run,
        "package": package.run,
        "cost": lambda: cost.run(write=options.write),
        "proxy": lambda: proxy.run(sizes),
    }
    names = options.names or list(benches)
    if unknown := [name for name in names if name not in benches]:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(benches)}")
    # Ended as by Ctrl-C: what was started and written is cleaned up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for name in names:
        benches[name]()


if __name__ == "__main__":
    main()
