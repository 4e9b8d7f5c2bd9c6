"""`python -m scripts.reference` writes every generated page; `--check` ends with 1 if one is not as it should be."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from scripts.local.stack import ROOT
from scripts.reference import api, cli, decisions, iam, limits, settings

if TYPE_CHECKING:
    from collections.abc import Callable

NOTE = "<!-- Made by `python -m scripts.reference`. Do not edit. -->\n"
PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/api.md": api.page,
    "docs/reference/cli.md": cli.page,
    "docs/reference/events.md": decisions.events,
    "docs/reference/iam.md": iam.page,
    "docs/reference/reasons.md": decisions.reasons,
    "docs/reference/settings.md": settings.page,
    "docs/explanation/limits.md": limits.page,
}


def text(name: str) -> str:
    """A page as it should be."""
    title, _, rest = PAGES[name]().partition("\n")
    return f"{title}\n\n{NOTE}{rest.rstrip()}\n"


def main() -> None:
    """Write or check them all."""
    stale = [name for name in PAGES if not (ROOT / name).exists() or (ROOT / name).read_text() != text(name)]
    if sys.argv[1:] == ["--check"]:
        if stale:
            sys.exit(f"Not as the code says, write them with python -m scripts.reference: {', '.join(stale)}")
        return
    for name in stale:
        (ROOT / name).write_text(text(name))


if __name__ == "__main__":
    main()
