"""Time, ids and secrets from the machine."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: sorts as its numbers do, and has no letters that look alike."""


class SystemClock:
    """Implements Clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class RandomIds:
    """Implements Ids: 48 bits of milliseconds, then 80 of chance, as a ULID has them."""

    def __init__(self, nanoseconds: Callable[[], int] = time.time_ns) -> None:
        self._nanoseconds = nanoseconds

    def new(self, prefix: str) -> str:
        number = (self._nanoseconds() // 1_000_000 << 80) | secrets.randbits(80)
        return f"{prefix}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -5, -5))

    def secret(self) -> str:
        return secrets.token_urlsafe(36).replace("_", "-")
