"""A checkout of its own, an emulated account, and the commands that deploy the one into the other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore

from scripts.children import die_with_parent
from scripts.local import cloud as clouds
from scripts.local.processes import Processes

ROOT = Path(__file__).parent.parent.parent
CLOUD = ROOT / "tests" / "e2e" / "api_cloud.py"
STAGE = "e2e"
TAKEN = (".chalice", ".ci", "app.py", "chalicelib", "docs", "pyproject.toml", "scripts", "tests/__init__.py")


@dataclass(slots=True)
class DeployWorld:
    """One account; `checkout` makes as many checkouts as are asked for. `program`: the cloud, a script."""

    home: Path
    program: Path = CLOUD
    processes: Processes = field(init=False)
    cloud: clouds.Cloud = field(init=False)

    def __post_init__(self) -> None:
        self.processes = Processes(self.home / "logs")
        self.cloud = clouds.start(self.processes, self.home, (str(self.program),))
        _hurried_waiters(self.home / "waiters")

    def end(self) -> None:
        """Nothing is left running."""
        self.processes.end()

    def checkout(self, name: str) -> Path:
        """The project as it stands, without what a deploy leaves; its .venv is the one that runs this."""
        made = self.home / name
        for part in (*TAKEN, *(file.name for file in ROOT.glob("requirements*.txt"))):
            source, target = ROOT / part, made / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "deployed", "deployments"))
            else:
                shutil.copy2(source, target)
        (made / ".venv").symlink_to(ROOT / ".venv")
        return made

    def run(self, checkout: Path, script: str, *options: str, kill_at: str | None = None, **env: str) -> Ran:
        """A command of a checkout; killed with no warning as soon as it prints a line with `kill_at` in it."""
        lines: list[str] = []
        with subprocess.Popen(
            [str(checkout / "scripts" / script), *options, "--stage", STAGE],
            cwd=checkout,
            env=self.env() | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509  (no threads of ours hold locks here)
        ) as child:
            for line in child.stdout or ():
                lines.append(line.rstrip())
                if kill_at is not None and kill_at in line and " s  " in line:
                    child.kill()
                    break
        return Ran(lines, child.returncode)

    def env(self) -> dict[str, str]:
        """Of commands: nothing of ours, all of the emulated account."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AUTOSTOP_"))}
        return (
            own | clouds.CREDENTIALS | {"AWS_ENDPOINT_URL": self.cloud.url, "AWS_DATA_PATH": str(self.home / "waiters")}
        )


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed, and how it ended; -9 where it was killed."""

    lines: list[str]
    code: int

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def token(self) -> str:
        """The admin key that it made."""
        (found,) = {line.split()[-1] for line in self.lines if line.split()[-1:] and line.split()[-1].startswith("ak_")}
        return found


def _hurried_waiters(folder: Path) -> None:
    """The waiters of Lambda, that look each 5 s whether a function is active: here it is so after 0.2 s."""
    source = Path(botocore.__file__).parent / "data" / "lambda" / "2015-03-31" / "waiters-2.json"
    waiters: dict[str, Any] = json.loads(source.read_text())
    for waiter in waiters["waiters"].values():
        waiter |= {"delay": 0.2, "maxAttempts": 300}
    target = folder / "lambda" / "2015-03-31"
    target.mkdir(parents=True)
    (target / "waiters-2.json").write_text(json.dumps(waiters))
