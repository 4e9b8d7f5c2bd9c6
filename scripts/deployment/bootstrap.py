"""`./scripts/bootstrap --stage NAME`: a stage from nothing, or whatever of it is missing."""

from __future__ import annotations

import click

from scripts.deployment import cost
from scripts.deployment.console import enter, root, run, show, spoken, stage_options, teller
from scripts.deployment.deployment import Deployment
from scripts.deployment.destroy import Destruction
from scripts.deployment.steps import plan


@click.command(context_settings={"show_default": True})
@stage_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--new-admin-key", is_flag=True, help="Make another admin key, for whoever lost the first.")
@click.option("--destroy", is_flag=True, help="Take the stage away, after a list of what goes.")
@click.option("--delete-data", is_flag=True, help="With --destroy: the tables, too.")
@click.option("--force", is_flag=True, help="With --destroy: though rules and load balancers are left.")
def main(
    *,
    stage: str,
    region: str | None,
    profile: str | None,
    dry_run: bool,
    yes: bool,
    new_admin_key: bool,
    destroy: bool,
    delete_data: bool,
    force: bool,
) -> None:
    """Set AutoStop up in an AWS account, and check that it answers.

    Run it again whenever you like: it looks at what there is and does what is missing, so that an interrupted run is
    continued by the next one. The admin key is printed once.
    """
    with spoken():
        deployment = Deployment(enter(stage, region, profile), another_key=new_admin_key)
        if destroy:
            _destroy(deployment, dry_run=dry_run, yes=yes, with_data=delete_data, force=force)
            return
        show(deployment.stage, plan(deployment.steps()))
        click.echo("What it costs, the VMs of proxies and ALBs not counted (docs/explanation/cost.md):")
        for line in cost.lines(root()):
            click.echo(line)
        if dry_run:
            return
        run(deployment)


def _destroy(deployment: Deployment, *, dry_run: bool, yes: bool, with_data: bool, force: bool) -> None:
    destruction = Destruction(deployment, with_data)
    found = list(destruction.listed())
    click.echo("\n".join(found) if found else "There is nothing of this stage.")
    if dry_run or not found:
        return
    if not force:
        destruction.hold_back()
    if not yes:
        name = deployment.stage.name
        click.prompt(f"Type {name} to go on", type=click.Choice([name]), show_choices=False)
    destruction.carry_out(teller())


if __name__ == "__main__":
    main()
