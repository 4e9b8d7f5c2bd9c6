"""Which stage, where, and what its parts are called there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3

from scripts import policies
from scripts.base_stack import function_name
from scripts.deployment.errors import WrongStageError

if TYPE_CHECKING:
    from pathlib import Path

LONGEST = 16
"""Of a stage's name: S3 takes 63 characters, and the bucket's name ends with account and region."""

RESERVED = frozenset({"local"})
"""The embedded cloud's: its idle times are seconds."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the project at `root`, in one region of one account."""

    name: str
    region: str
    account: str
    root: Path
    partition: str = "aws"

    @property
    def base(self) -> str:
        """The stack of what keeps state."""
        return f"autostop-{self.name}-base"

    @property
    def links(self) -> str:
        """The stack of what Chalice cannot do."""
        return f"autostop-{self.name}-links"

    @property
    def table_prefix(self) -> str:
        """What the names of tables begin with."""
        return f"autostop-{self.name}-"

    @property
    def functions(self) -> dict[str, str]:
        """Each function's name in Lambda."""
        return {function: function_name(self.name, function) for function in policies.TABLES}


def checked(name: str) -> str:
    """A stage's name that fits everywhere. Raises WrongStageError."""
    if not re.fullmatch(rf"[a-z][a-z0-9-]{{0,{LONGEST - 1}}}", name) or name.endswith("-"):
        raise WrongStageError(
            f"{name!r} is no name for a stage: 1 to {LONGEST} lower-case letters, digits and hyphens, a letter first."
        )
    if name in RESERVED:
        raise WrongStageError(f"The stage {name!r} is the demo's (./scripts/demo); choose another name.")
    return name


def find(name: str, root: Path, region: str | None) -> Stage:
    """The stage where the credentials of this process lead. Raises WrongStageError."""
    checked(name)
    session = boto3.Session(region_name=region)
    if session.region_name is None:
        raise WrongStageError("No region: give --region, or set AWS_DEFAULT_REGION or one in your AWS profile.")
    identity = session.client("sts").get_caller_identity()
    return Stage(name, session.region_name, identity["Account"], root, identity["Arn"].split(":")[1])
