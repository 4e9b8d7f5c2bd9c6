"""`python -m scripts.simulation --rules 10000 --days 30 --seed 1`; exits 1 if an invariant was violated."""

from __future__ import annotations

import argparse
import sys

from scripts.simulation.run import simulate

SHOWN = 5


def main() -> int:
    """Run one simulation and print its summary, and the first violations with what led to them."""
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chaos", action="store_true", help="the queue loses, repeats and reorders messages")
    asked = parser.parse_args()
    outcome = simulate(asked.rules, asked.days, asked.seed, chaos=asked.chaos)
    for found in outcome.violations[:SHOWN]:
        print(f"VIOLATION seed {asked.seed}, rule {found.rule_id}, {found.at.isoformat()}: {found.what}")
        for line in found.history:
            print(f"    {line}")
    for name, value in outcome.summary.items():
        print(f"{name}: {value}")
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
