"""What the commands of a deployment share: their options, what they print, how they end."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from botocore.exceptions import BotoCoreError, ClientError

from scripts.deployment.errors import DeploymentError
from scripts.deployment.steps import carry_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.deployment.deployment import Deployment
    from scripts.deployment.stage import Stage
    from scripts.deployment.steps import Planned, Say


def stage_options(command: Callable[..., None]) -> Callable[..., None]:
    """`--stage`, `--region`, `--profile`, `--dry-run`."""
    command = click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")(command)
    command = click.option("--profile", help="The AWS profile to use.")(command)
    command = click.option("--region", help="The AWS region; without it, the profile's.")(command)
    return click.option("--stage", required=True, help="The stage's name, as in dev or prod.")(command)


def teller() -> Say:
    """Prints lines with the seconds since it was made."""
    began = time.monotonic()

    def say(line: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {line}")
        sys.stdout.flush()

    return say


@contextmanager
def spoken() -> Iterator[None]:
    """What goes wrong ends the command with words instead of a traceback."""
    try:
        yield
    except DeploymentError as error:
        raise click.ClickException(str(error)) from error
    except ClientError as error:
        words = f"AWS refused {error.operation_name}: {error}. Nothing after it was done; run the same command again."
        raise click.ClickException(words) from error
    except BotoCoreError as error:
        raise click.ClickException(f"AWS could not be asked: {error}") from error


def enter(stage: str, region: str | None, profile: str | None) -> Stage:
    """The stage, with this process turned to it. Raises DeploymentError."""
    if profile is not None:
        os.environ["AWS_PROFILE"] = profile
    from scripts.deployment.stage import find  # noqa: PLC0415  (boto3 reads the profile from the environment)

    found = find(stage, root(), region)
    os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = found.region
    return found


def root() -> Path:
    """The project's folder."""
    return Path(__file__).parent.parent.parent


def show(stage: Stage, planned: list[Planned]) -> None:
    """The plan."""
    click.echo(f"AutoStop, stage {stage.name} in {stage.region} of account {stage.account}")
    for one in planned:
        verb, words = ("-", "as wanted") if one.difference is None else (one.difference.verb, one.difference.words)
        click.echo(f"  {one.step.name:<28} {verb:<7} {words}")


def run(deployment: Deployment) -> None:
    """Carry the steps out, and check what is there then. Raises DeploymentError."""
    say = teller()
    acted = carry_out(deployment.steps(), say)
    say("checking what was deployed")
    deployment.smoke(say)
    say(f"Done: {acted or 'no'} step{'' if acted == 1 else 's'} had something to do.")
    say(f"The API is at {deployment.url()}")
