"""Whether what was deployed is what this checkout says, and is still fed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.deployment.steps import plan
from scripts.diagnosis.finding import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.deployment.deployment import Deployment


def look(deployment: Deployment) -> Iterator[Finding]:
    """Each step of a deployment that would have something to do.

    Another version in the account than in this checkout is no fault by itself; what nobody feeds is.
    """
    stage, there = deployment.stage.name, deployment.stage_is_there()
    for one in plan(deployment.steps()):
        if one.difference is None:
            yield Finding(Level.WELL, f"{one.step.name}: as this checkout says")
            continue
        hurts = not there or one.step is deployment.feeds
        words = f"{one.step.name}: {one.difference.verb} ({one.difference.words})"
        remedy = f"./scripts/{'deploy' if there else 'bootstrap'} --stage {stage} does it; --dry-run shows what."
        yield Finding(Level.WRONG if hurts else Level.WATCH, words, remedy)
