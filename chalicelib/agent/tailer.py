"""Following the access log through its rotations."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 1 << 20
LONGEST_LINE = 1 << 16
NO_FILE = 0
"""In place of an inode, whose numbers begin at 1."""


class Tailer:
    """Reads whole lines from where it left off. `position` is (inode, offset), for a checkpoint.

    A rotated log is renamed to `.old` and read to its end; the new one is turned to once Envoy has made it, because
    from then on nothing is written to the old one any more.
    """

    def __init__(self, path: Path, position: tuple[int, int] | None = None) -> None:
        self._path = path
        self._file: int | None = None
        self._rest = b""
        self._offset = 0
        self.continued = position is None and not path.exists()
        """Whether nothing can have been missed between the checkpoint and now."""
        if position is None:
            if self._open(path):
                self._offset = self.size
            return
        if position[0] == NO_FILE:
            self.continued = True  # there was none at the checkpoint: what is there now has come since, all of it
            return
        for candidate in (path, self.old):
            if self._open(candidate):
                if self._inode() == position[0] and self.size >= position[1]:
                    self._offset = position[1]
                    self.continued = True
                    return
                self._close()
        # Neither is the one that the checkpoint is about: everything that is there is news.

    @property
    def old(self) -> Path:
        """What a log is renamed to when it is rotated."""
        return self._path.with_name(f"{self._path.name}.old")

    @property
    def size(self) -> int:
        """Bytes in the current file."""
        return os.fstat(self._file).st_size if self._file is not None else 0

    @property
    def position(self) -> tuple[int, int]:
        """Where the next line begins."""
        return self._inode(), self._offset - len(self._rest)

    def lines(self) -> Iterator[bytes]:
        """Every whole line that is there now."""
        if self._file is None and not self._open(self._path):
            return
        while True:
            replaced = self._replaced()  # asked before reading: what is then read to the end is all of it
            yield from self._rest_of_file()
            if not replaced:
                return
            self._close()
            if not self._open(self._path):
                return

    def set_aside(self) -> None:
        """Rename the log to `.old`, unless it is not the one that we read: that would overwrite one never read."""
        try:
            current = self._path.stat().st_ino == self._inode()
        except FileNotFoundError:
            return
        if current:
            self._path.rename(self.old)

    def _rest_of_file(self) -> Iterator[bytes]:
        while self._file is not None:
            data = os.pread(self._file, CHUNK, self._offset)
            if not data:
                return
            self._offset += len(data)
            *whole, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > LONGEST_LINE:
                self._rest = b""  # no line of Envoy's; it must not grow in our memory
            yield from whole

    def _replaced(self) -> bool:
        try:
            return self._path.stat().st_ino != self._inode()
        except FileNotFoundError:
            return False

    def _open(self, path: Path) -> bool:
        try:
            self._file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        self._offset, self._rest = 0, b""
        return True

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file, self._offset, self._rest = None, 0, b""

    def _inode(self) -> int:
        return os.fstat(self._file).st_ino if self._file is not None else NO_FILE
