"""`./scripts/deploy --stage NAME`: the update of a stage that `./scripts/bootstrap` made."""

from __future__ import annotations

import click

from scripts.deployment.console import enter, run, show, spoken, stage_options
from scripts.deployment.deployment import Deployment
from scripts.deployment.errors import WrongStageError
from scripts.deployment.steps import plan


@click.command()
@stage_options
def main(*, stage: str, region: str | None, profile: str | None, dry_run: bool) -> None:
    """Bring a stage to what this checkout says: `chalice deploy`, and what Chalice cannot do, each verified.

    From any checkout: what the last deploy recorded is kept in the account. Nothing is touched where nothing changed.
    """
    with spoken():
        deployment = Deployment(enter(stage, region, profile))
        if not deployment.stage_is_there():
            raise WrongStageError(f"There is no stage {stage} here yet: ./scripts/bootstrap --stage {stage} makes it.")
        show(deployment.stage, plan(deployment.steps()))
        if dry_run:
            return
        run(deployment)


if __name__ == "__main__":
    main()
