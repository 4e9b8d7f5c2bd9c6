"""The generated pages are as the code says, leave nothing out, and no link of the documentation leads nowhere."""

from __future__ import annotations

import re

import pytest

from chalicelib.domain.events import EventKind
from scripts.local.stack import ROOT
from scripts.reference.__main__ import PAGES, text
from scripts.reference.decisions import KINDS
from scripts.reference.settings import WORDS, variables

LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_generated_page_is_as_the_code_says(name):
    assert (ROOT / name).read_text() == text(name), "write it with python -m scripts.reference"


def test_every_kind_of_event_is_told():
    assert set(KINDS) == set(EventKind)


def test_every_setting_that_is_read_is_told_and_no_other():
    assert set(WORDS) == set(variables())


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=lambda page: page.stem)
def test_no_link_leads_nowhere(page):
    for target in LINK.findall(page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text() + (ROOT / "docs" / "adr" / "README.md").read_text()
    for page in ROOT.glob("docs/**/*.md"):
        if page.name != "README.md":
            assert page.name in index, f"{page} is in no index"


def test_every_decision_is_in_the_list_of_decisions():
    listed = (ROOT / "docs" / "adr" / "README.md").read_text()
    for page in (ROOT / "docs" / "adr").glob("0*.md"):
        title = page.read_text().splitlines()[0].removeprefix("# ")
        assert f"- [{title}]({page.name})" in listed
