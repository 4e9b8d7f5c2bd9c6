"""Child processes that die with their parent, however it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.children import die_with_parent

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class Processes:
    """Starts children with their output in `logs`, ends them all in reverse order."""

    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: list[str], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start one; it is in a group of its own, so that Ctrl-C reaches only us."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.log").open("ab") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                preexec_fn=die_with_parent,  # noqa: PLW1509  (no threads of ours hold locks here)
                start_new_session=True,
            )
        self.running[name] = child
        return child

    def check(self) -> None:
        """Raise RuntimeError if one of them has ended by itself."""
        for name, child in self.running.items():
            if child.poll() is not None:
                raise RuntimeError(f"{name} ended with code {child.returncode}; see {self.logs / name}.log")

    def end(self) -> None:
        """End them all: SIGTERM, three seconds, SIGKILL to the whole group."""
        for child in reversed(list(self.running.values())):
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + 3
        for child in reversed(list(self.running.values())):
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            child.wait()
        self.running.clear()


def python() -> str:
    """The interpreter of the .venv that this runs in."""
    return sys.executable
