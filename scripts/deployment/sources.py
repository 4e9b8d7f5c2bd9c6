"""The files that a Lambda package is made of, and a fingerprint of them."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def of_the_package(root: Path) -> list[Path]:
    """`app.py`, the requirements, all of chalicelib (Chalice packs its templates, too), and the policies."""
    package = (p for p in (root / "chalicelib").rglob("*") if p.is_file() and p.suffix != ".pyc")
    policies = (root / ".chalice").glob("policy-*.json")
    return [root / "app.py", root / "requirements.txt", *sorted(package), *sorted(policies)]


def digest(root: Path, files: Iterable[Path], *more: str) -> str:
    """SHA-256 over the names and contents of files, and over some texts."""
    found = hashlib.sha256()
    for file in files:
        found.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    for text in more:
        found.update(b"\0" + text.encode())
    return found.hexdigest()


def fingerprint(root: Path, config: Mapping[str, Any], stage: str) -> str:
    """Of all that a deploy of the stage depends on: sources, configuration without other stages, this Python.

    Chalice chooses the runtime of the functions by the Python that runs it.
    """
    ours = {**config, "stages": {stage: config.get("stages", {}).get(stage)}}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return digest(root, of_the_package(root), json.dumps(ours, sort_keys=True), python)
