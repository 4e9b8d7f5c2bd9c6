"""Which API, and with which key: found when a command wants it, so that --help needs neither."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import click

from scripts.cli.api import Api

DEMO = Path(".demo") / "env.json"


@dataclass(frozen=True, slots=True)
class Reach:
    """What was said of it on the command line and in the environment."""

    url: str | None
    key_file: Path | None
    demo: bool = False

    def api(self) -> Api:
        """Raises UsageError where nothing says which API."""
        if self.demo:
            try:
                told = json.loads(DEMO.read_text())
            except OSError as error:
                raise click.UsageError(f"No demo runs in this folder: {DEMO} is not there.") from error
            return Api(told["api_url"], told["admin_key"])
        if self.url is None:
            raise click.UsageError("Which API? Set AUTOSTOP_URL to its address (./scripts/bootstrap prints it).")
        return Api(self.url, self.key_file.read_text().strip() if self.key_file else os.environ.get("AUTOSTOP_KEY"))
