"""What a release consists of: one version, a changelog that knows it, a licence, hooks that exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from chalicelib import __version__

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_version_is_semantic_and_stands_in_one_place():
    assert re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", __version__)
    assert "version" not in PROJECT["project"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "chalicelib.__version__"}
    told = re.compile(rf"""version["']?\s*[:=]\s*["']{re.escape(__version__)}""", re.IGNORECASE)
    where = [*ROOT.glob("*.toml"), *(ROOT / "chalicelib").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]
    assert [str(file.relative_to(ROOT)) for file in where if told.search(file.read_text())] == []


def test_the_changelog_has_what_is_coming_or_the_version_at_its_top():
    first = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first[1] in {"Unreleased", __version__}


def test_the_licence_is_the_one_that_the_project_names():
    assert PROJECT["project"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_every_hook_runs_what_is_there():
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in local["hooks"]:
        program, *words = hook["entry"].split()
        assert (ROOT / program).exists(), hook["id"]
        if words[:1] == ["-m"]:
            assert subprocess.run([sys.executable, *words], cwd=ROOT, check=False).returncode == 0, hook["id"]


def test_what_is_stored_by_each_release_is_kept_for_those_to_come():
    files = sorted((ROOT / "tests" / "fixtures").glob("tables-*.jsonl"))
    assert files
    for file in files:
        header = json.loads(file.read_text().splitlines()[0])
        assert file.name == f"tables-{header['version']}.jsonl"


def test_each_folder_of_the_map_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for folder in re.findall(r"^      (\w+)/ ", text, re.MULTILINE):
        assert (ROOT / "chalicelib" / folder).is_dir(), folder
