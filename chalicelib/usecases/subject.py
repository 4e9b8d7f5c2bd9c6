"""What the work at hand is about: whatever is logged meanwhile, by whomever, carries it."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NOTHING: Mapping[str, str] = {}
_subject: ContextVar[Mapping[str, str]] = ContextVar("subject", default=_NOTHING)


@contextmanager
def about(**ids: str) -> Iterator[None]:
    """Inside, log lines carry these ids beside those from outside; afterwards they do not, whatever happened."""
    token = _subject.set({**_subject.get(), **ids})
    try:
        yield
    finally:
        _subject.reset(token)


def ids() -> Mapping[str, str]:
    """Those of the work at hand."""
    return _subject.get()
