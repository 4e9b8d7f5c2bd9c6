"""What this process has built of a stage, forgotten: the next call builds it anew, by the settings of then."""

from __future__ import annotations

import sys


def forget_built() -> None:
    """As in a new process, for whatever `chalicelib.bootstrap` has made."""
    for name in [name for name in sys.modules if name.startswith("chalicelib.bootstrap.")]:
        for made in vars(sys.modules[name]).values():
            if callable(getattr(made, "cache_clear", None)):
                made.cache_clear()
