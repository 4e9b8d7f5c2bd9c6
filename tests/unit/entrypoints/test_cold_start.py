"""Garbage is not collected during the first invocation of a process, and is again after it."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from chalicelib.entrypoints import cold_start

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _a_new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cold_start, "_warm", [])
    yield
    gc.unfreeze()


def test_only_the_first_invocation_goes_without_collections():
    seen = []
    for _ in range(2):
        with cold_start.hurried():
            seen.append(gc.isenabled())
    assert seen == [False, True]
    assert gc.isenabled()


def test_an_invocation_that_fails_leaves_them_on():
    with pytest.raises(ValueError, match="broken"), cold_start.hurried():
        raise ValueError("broken")
    assert gc.isenabled()


def test_who_has_them_off_keeps_them_off():
    gc.disable()
    try:
        with cold_start.hurried():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
