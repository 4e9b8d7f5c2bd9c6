"""The first invocation of a process: it imports libraries and makes clients, and somebody waits for it."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_warm: list[bool] = []


@contextmanager
def hurried() -> Iterator[None]:
    """Around every invocation; the first one of the process is not interrupted by garbage collections.

    They go through everything that was made so far and find nothing, for all of it stays: 30 ms of 220, measured by
    `scripts/bench warmup`. What is there afterwards is not looked at again (gc.freeze).
    """
    if _warm or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        _warm.append(True)
