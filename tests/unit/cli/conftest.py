"""The command line against the whole API on stores in memory, over real HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from chalicelib.domain.access import Role
from scripts.cli.__main__ import main
from tests.served import served
from tests.unit.api.conftest import api  # noqa: F401  (a fixture)

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.unit.api.conftest import Api


@dataclass
class Terminal:
    """Where commands are typed."""

    url: str
    api: Api
    home: Path
    role: Role = Role.ADMIN

    def run(self, *words: str, **env: str) -> Result:
        there = {"AUTOSTOP_URL": self.url, "AUTOSTOP_KEY": self.api.tokens[self.role]} | env
        return CliRunner(env=there).invoke(main, list(words))

    def file(self, body: object) -> str:
        path = self.home / "body.json"
        path.write_text(json.dumps(body))
        return str(path)

    def made(self, *words: str) -> Any:
        """What a command that must succeed answered, as JSON."""
        ran = self.run(*words)
        assert ran.exit_code == 0, ran.output
        return json.loads(ran.output)


@pytest.fixture
def terminal(api, tmp_path):  # noqa: F811  (the fixture)
    with served(api.client) as url:
        yield Terminal(url, api, tmp_path)
