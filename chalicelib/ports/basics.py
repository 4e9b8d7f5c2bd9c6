"""What every port speaks of: pages, idempotency, time and ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; `next_cursor` is opaque and None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's `Idempotency-Key`: the same key and fingerprint give the first answer again for 24 hours."""

    key: str
    fingerprint: str


class Clock(Protocol):
    """The time, injected."""

    def now(self) -> datetime:
        """Aware, UTC."""
        ...


class Ids(Protocol):
    """Ids and secrets, injected."""

    def new(self, prefix: str) -> str:
        """A fresh id such as `ru_4f0a…`: prefix, underscore, lower-case letters and digits, sortable by time."""
        ...

    def secret(self) -> str:
        """A fresh secret of at least 256 bits, URL-safe, without underscores."""
        ...
