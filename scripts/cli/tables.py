"""`autostop export` and `autostop import`: all that a stage has stored, straight from and into its tables."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import click

from scripts.deployment.console import enter, spoken

if TYPE_CHECKING:
    from collections.abc import Callable


def _where(command: Callable[..., None]) -> Callable[..., None]:
    command = click.option("--profile", help="The AWS profile to use.")(command)
    command = click.option("--region", help="The AWS region; without it, the profile's.")(command)
    return click.option("--stage", required=True, help="The stage's name.")(command)


@click.command("export")
@_where
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
def export_(*, stage: str, region: str | None, profile: str | None, output: Path) -> None:
    """Write everything that a stage has stored to a file, as lines of JSON.

    API keys are in it as hashes. The file appears when it is whole.
    """
    with spoken():
        enter(stage, region, profile)
        from scripts.tables.dump import export  # noqa: PLC0415  (its models read the region as they are imported)

        fresh = output.with_name(f"{output.name}.part")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            lines = 0
            for line in export(boto3.client("dynamodb"), stage, datetime.now(UTC)):
                file.write(line)
                lines += 1
        fresh.replace(output)
    click.echo(f"{lines - 2} items in {output}")


@click.command("import")
@_where
@click.option("--file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="An export.")
@click.option("--replace", is_flag=True, help="Take away first what the tables have.")
def import_(*, stage: str, region: str | None, profile: str | None, file: Path, replace: bool) -> None:
    """Put an export into the tables of a stage.

    The file is checked as a whole before anything is written. An import that was interrupted is taken up by running it
    again.
    """
    with spoken():
        enter(stage, region, profile)
        from scripts.tables.load import Loader  # noqa: PLC0415  (its models read the region as they are imported)

        done = Loader(boto3.client("dynamodb"), stage).load(file, replace=replace)
    for table, count in sorted(done.counts.items()):
        click.echo(f"{count:>8} {table}")
