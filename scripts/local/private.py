"""Where the demo's private keys are: on tmpfs, and gone with the demo, however it ends."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from chalicelib.agent.vault import filesystem_of

MEMORY = Path("/dev/shm")  # noqa: S108  (on tmpfs: that is what it is for)

CLEANER = 'cat >/dev/null; rm -rf -- "$0"; sleep 2; rm -rf -- "$0"'
"""Removes a directory when its standard input ends, and once more: whoever dies beside it may still be writing."""


def prefix(root: Path) -> str:
    """How the directories of the demos of one checkout begin: several may run on one machine."""
    return f"autostop-demo-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}-"


def cleaner(path: Path) -> subprocess.Popen[bytes]:
    """A process that removes this directory as soon as we are gone, however we end."""
    return subprocess.Popen(
        ["/bin/sh", "-c", CLEANER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        start_new_session=True,
    )


@dataclass(slots=True)
class Secrets:
    """One directory that only we can read.

    Its cleaner is no child that dies with us: it waits for the end of a pipe that nobody but us holds, so it also
    comes after a `kill -9`.
    """

    path: Path
    _cleaner: subprocess.Popen[bytes] = field(repr=False)

    @classmethod
    def make(cls, root: Path, memory: Path = MEMORY) -> Secrets:
        """Raises RuntimeError where `memory` is a disk."""
        if not memory.is_dir() or filesystem_of(memory) not in {"tmpfs", "ramfs"}:
            raise RuntimeError(f"{memory} is not on tmpfs, and private keys are written nowhere else")
        path = Path(tempfile.mkdtemp(prefix=prefix(root), dir=memory))
        return cls(path, cleaner(path))

    def put(self, name: str, text: str) -> Path:
        """A file that is made with its mode. Answers where it is."""
        file = self.path / name
        file.touch(mode=0o600)
        file.write_text(text)
        return file

    def end(self) -> None:
        """Remove everything; who writes there has to be gone. There is nothing left for the cleaner to do."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.killpg(self._cleaner.pid, signal.SIGKILL)
        self._cleaner.communicate()
