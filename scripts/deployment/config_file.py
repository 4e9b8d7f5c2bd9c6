"""The stage's section of .chalice/config.json, which is all that `chalice deploy` knows of a stage."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts import base_stack
from scripts.deployment.errors import DeploymentError
from scripts.deployment.steps import Difference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from scripts.deployment.stage import Stage
    from scripts.deployment.steps import Say

    Section = dict[str, Any]

ROOMY = 1000
"""Concurrent executions that an account has in a region unless it is new.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""
WARM_UP_CONCURRENCY = 200
"""Kept for the warm-up function where there is room: others cannot starve it, nor can a flood on an ALB starve them."""


def path_of(root: Path) -> Path:
    """Where Chalice looks for it."""
    return root / ".chalice" / "config.json"


def read(root: Path) -> dict[str, Any]:
    """The whole file. Raises DeploymentError."""
    try:
        found: dict[str, Any] = json.loads(path_of(root).read_text())
    except (OSError, ValueError) as error:
        raise DeploymentError(f"{path_of(root)} cannot be read: {error}") from error
    return found


def section(config: Mapping[str, Any], stage: str) -> Section | None:
    """What the file says of a stage; None where it does not know it."""
    found: Section | None = config.get("stages", {}).get(stage)
    return found


def wanted(stage: Stage, outputs: Mapping[str, str], old: Section | None, concurrency: int) -> Section:
    """The section as it should be: what people set in it stays, what the base stack made is as that says.

    `concurrency`: the account's limit; only a section that is new reserves any of it.
    """
    variables = {
        "AUTOSTOP_STAGE": stage.name,
        "AUTOSTOP_TABLE_PREFIX": stage.table_prefix,
        "AUTOSTOP_PROXY_LOG_GROUP": f"/autostop/{stage.name}/proxy",
        "AUTOSTOP_FLOW_LOG_GROUP": f"/autostop/{stage.name}/flow",
        **base_stack.variables(dict(outputs)),
    }
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        variables["AWS_ENDPOINT_URL"] = endpoint  # an emulator's; the functions are in it
    if old is None:
        new: Section = {"environment_variables": variables}
        if concurrency >= ROOMY:
            new["lambda_functions"] = {"warm_up": {"reserved_concurrency": WARM_UP_CONCURRENCY}}
        return new
    return {**old, "environment_variables": {**old.get("environment_variables", {}), **variables}}


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The section as a step. `outputs` are the base stack's, none while there is none; `kept` is the account's copy."""

    stage: Stage
    outputs: Callable[[], Mapping[str, str]]
    kept: Callable[[], Section | None]
    concurrency: Callable[[], int]
    name: str = "configuration"

    def look(self) -> Difference | None:
        outputs, old = self.outputs(), section(read(self.stage.root), self.stage.name)
        if not outputs:
            return Difference("write", f"the stage in {self._where}, once the base stack is there")
        new = self._wanted(outputs, old)
        if new == old:
            return None
        if old is None:
            return Difference("write", f"the stage in {self._where}")
        before, after = old.get("environment_variables", {}), new["environment_variables"]
        names = sorted(name for name, value in after.items() if before.get(name) != value)
        return Difference("write", f"{', '.join(names)} in {self._where}")

    def act(self, say: Say) -> None:
        path = path_of(self.stage.root)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(self.coming(), indent=2) + "\n")
        fresh.replace(path)
        say(f"  {path} says where the stage is; it holds no secret and may be committed")

    def coming(self) -> dict[str, Any]:
        """The whole file as it will be, as far as that can be known."""
        config, outputs = read(self.stage.root), self.outputs()
        if not outputs:
            return config
        new = self._wanted(outputs, section(config, self.stage.name))
        return {**config, "stages": {**config.get("stages", {}), self.stage.name: new}}

    def _wanted(self, outputs: Mapping[str, str], old: Section | None) -> Section:
        known = old if old is not None else self.kept()
        return wanted(self.stage, outputs, known, self.concurrency() if known is None else 0)

    @property
    def _where(self) -> str:
        return ".chalice/config.json"
