"""Whether what was deployed is what this checkout says, and still linked to what feeds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.deployment.steps import plan
from scripts.diagnosis.finding import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.deployment.deployment import Deployment

SCHEDULED = ("tick", "discover", "provision_sweep", "savings_rollup")
EVENTS = ("ec2_state", "rds_state", "tag_change", "ec2_calls")


def look(deployment: Deployment) -> Iterator[Finding]:
    """Each step of a deployment that would have something to do."""
    stage = deployment.stage.name
    for one in plan(deployment.steps()):
        if one.difference is None:
            yield Finding(Level.WELL, f"{one.step.name}: as this checkout says")
        else:
            remedy = f"./scripts/deploy --stage {stage} --dry-run shows what would be done."
            level = Level.WATCH if deployment.stage_is_there() else Level.WRONG
            yield Finding(level, f"{one.step.name}: {one.difference.verb} ({one.difference.words})", remedy)


def subscriptions(deployment: Deployment) -> Iterator[Finding]:
    """Schedules and event rules that are on, log groups that are subscribed to."""
    smoke, stage = deployment.smoke_check(), deployment.stage.name
    for function in (*SCHEDULED, *EVENTS):
        fault = smoke.enabled(f"autostop-{stage}-{function}-event")
        words = f"the {'schedule' if function in SCHEDULED else 'event rule'} of {function} is on"
        yield _found(words, fault, f"./scripts/deploy --stage {stage} puts it back.")
    for part, loss in (("proxy", "proxies"), ("flow", "flow logs")):
        fault = smoke.subscribed(f"/autostop/{stage}/{part}", f"{part}_logs")
        remedy = f"Rules that live by {loss} are blind and stay up. ./scripts/deploy --stage {stage} puts it back."
        yield _found(f"the log group of {loss} is subscribed to", fault, remedy)


def _found(words: str, fault: str | None, remedy: str) -> Finding:
    return Finding(Level.WELL, words) if fault is None else Finding(Level.WRONG, f"{words}: NOT, {fault}", remedy)
