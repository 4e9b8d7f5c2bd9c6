"""Chalice itself, as a child process whose lines are passed on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.children import die_with_parent
from scripts.deployment.errors import ChaliceFailedError

if TYPE_CHECKING:
    from scripts.deployment.stage import Stage
    from scripts.deployment.steps import Say

LAST_LINES = 15


@dataclass(frozen=True, slots=True)
class Chalice:
    """`chalice` for one stage."""

    stage: Stage

    @property
    def file(self) -> Path:
        """What it records of a stage, and reads before the next deploy."""
        return self.stage.root / ".chalice" / "deployed" / f"{self.stage.name}.json"

    def recorded(self) -> dict[str, Any] | None:
        """What it recorded; None where it did not."""
        try:
            found: dict[str, Any] = json.loads(self.file.read_text())
        except OSError:
            return None
        return found

    def record(self, deployed: dict[str, Any]) -> None:
        """Have it believe this."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(deployed, indent=2) + "\n")

    def run(self, command: str, say: Say) -> None:
        """`chalice COMMAND --stage …`. Raises ChaliceFailedError with what it printed last."""
        # Chalice packs all that lies in chalicelib; this machine's bytecode is of no use to Lambda.
        for bytecode in (self.stage.root / "chalicelib").rglob("__pycache__"):
            shutil.rmtree(bytecode)
        program = [str(Path(sys.executable).parent / "chalice"), command, "--stage", self.stage.name]
        last: list[str] = []
        with subprocess.Popen(
            program,
            cwd=self.stage.root,
            env=os.environ | {"AWS_DEFAULT_REGION": self.stage.region, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509  (no threads of ours hold locks here)
        ) as child:
            for line in child.stdout or ():
                last = [*last, line.rstrip()][-LAST_LINES:]
                if line.startswith(("Creating", "Updating", "Subscribing", "Deleting")):
                    say(f"  {line.rstrip()}")
        if child.returncode != 0:
            raise ChaliceFailedError(f"chalice {command} failed:\n" + "\n".join(last))
