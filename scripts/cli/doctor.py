"""`autostop doctor`: looks at a whole stage and says what is wrong, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scripts.deployment.console import enter, spoken
from scripts.deployment.deployment import Deployment
from scripts.diagnosis import Level, diagnose

if TYPE_CHECKING:
    from scripts.cli.reach import Reach

MARKS = {Level.WELL: "ok  ", Level.WATCH: "look", Level.WRONG: "BAD "}


@click.command("doctor")
@click.option("--stage", required=True, help="The stage's name.")
@click.option("--region", help="The AWS region; without it, the profile's.")
@click.option("--profile", help="The AWS profile to use.")
@click.pass_obj
def doctor(reach: Reach, *, stage: str, region: str | None, profile: str | None) -> None:
    """Look at a whole stage and say what is wrong, and what to do.

    With the credentials of AWS, and where AUTOSTOP_URL and a key are set, over the API, too. It changes nothing. Ends
    with 1 if anything is wrong.
    """
    with spoken():
        api = reach.api() if reach.url or reach.demo else None
        findings = list(diagnose(Deployment(enter(stage, region, profile)), api))
    for found in findings:
        click.echo(f"{MARKS[found.level]} {found.words}")
        if found.remedy:
            click.echo(f"       {found.remedy}")
    wrong = sum(found.level is Level.WRONG for found in findings)
    click.echo(f"{len(findings)} findings, {wrong} wrong.")
    if wrong:
        raise SystemExit(1)
