"""Following the access log, and rotating it before it fills the tmpfs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 1 << 20


class Tailer:
    """Reads whole lines from where it left off. `position` is (inode, offset), for a checkpoint."""

    def __init__(self, path: Path, position: tuple[int, int] | None = None) -> None:
        self._path = path
        self._file: int | None = None
        self._rest = b""
        self._offset = 0
        self.continued = position is None and not path.exists()
        """Whether nothing can have been missed between the checkpoint and now."""
        if path.exists():
            self._open()
            if position is not None and self._inode() == position[0] and self.size >= position[1]:
                self._offset = position[1]
                self.continued = True
            elif position is None:
                self._offset = self.size

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
        if self._file is None:
            if not self._path.exists():
                return
            self._open()
        while self._file is not None:
            data = os.pread(self._file, CHUNK, self._offset)
            if not data:
                return
            self._offset += len(data)
            *whole, self._rest = (self._rest + data).split(b"\n")
            yield from whole

    def rotated(self) -> None:
        """The file was renamed and Envoy has reopened it: go on with the new one, having read the old one out."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._offset, self._rest = None, 0, b""

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_RDONLY)

    def _inode(self) -> int:
        return os.fstat(self._file).st_ino if self._file is not None else 0
