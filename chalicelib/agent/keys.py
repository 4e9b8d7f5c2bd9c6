"""The API key of this proxy: from a file on tmpfs, or from Secrets Manager with the VM's own role. Never in a log."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from typing import TYPE_CHECKING, Protocol

from chalicelib.agent.secret_source import SecretUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from chalicelib.agent.clock import Clock
    from chalicelib.agent.secret_source import SecretSource

log = logging.getLogger(__name__)

KEPT = 300.0
"""Seconds after which a new version of the secret is looked for, as each call is paid."""

REFUSED_AGAIN = 10.0
"""Seconds between two looks because the control plane refused the key: a deleted one must not cost a call each."""

_TOKEN = re.compile(r"ak_[A-Za-z0-9]+_[A-Za-z0-9-]+")


class KeySource(Protocol):
    """Where the key comes from."""

    async def get(self) -> str:
        """The key to use now. Raises OSError when there is none to be had."""
        ...

    def refused(self, key: str) -> None:
        """The control plane does not know this key (any more): it was rotated, or deleted."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the key that is used may soon be none: its secret was gone, or held none, at the last look."""
        ...


class KeyFile:
    """A file, read at each use: rotating the key is writing the file anew."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def get(self) -> str:
        return _checked(self._path.read_text(), str(self._path))

    def refused(self, key: str) -> None:
        del key  # the next call reads the file anyway

    @property
    def trouble(self) -> str | None:
        return None  # without the file every call fails, and that is told


class KeySecret:
    """A secret, kept in memory. Its last good value is used for as long as Secrets Manager does not answer."""

    def __init__(self, arn: str, secrets: SecretSource, clock: Clock) -> None:
        self._arn, self._secrets, self._clock = arn, secrets, clock
        self._key: str | None = None
        self._look_at = 0.0
        self._looked_at = -REFUSED_AGAIN
        self._lock = asyncio.Lock()
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        return self._trouble

    async def get(self) -> str:
        async with self._lock:
            now = self._clock.monotonic()
            if self._key is None or now >= self._look_at:
                await self._look(now)
            if self._key is None:
                raise OSError(f"{self._arn} has no API key that could be read")
            return self._key

    def refused(self, key: str) -> None:
        if key == self._key:
            self._look_at = min(self._look_at, self._looked_at + REFUSED_AGAIN)

    async def _look(self, now: float) -> None:
        self._looked_at = now
        try:
            self._key = _checked(await asyncio.to_thread(self._secrets.read, self._arn), self._arn)
        except (SecretUnavailableError, OSError) as error:
            log.warning("the API key could not be read, the last one is used on: %s", error)
            self._look_at = now + REFUSED_AGAIN
            self._trouble = str(error)[:300]
            return
        self._trouble = None
        self._look_at = now + KEPT * random.uniform(0.9, 1.1)  # noqa: S311  (jitter, not a secret)


def _checked(text: str, where: str) -> str:
    """The key without what editors put around it. Raises OSError, without a word of what is there instead."""
    key = text.strip()
    if not _TOKEN.fullmatch(key):
        raise OSError(f"{where} does not hold an API key (ak_ID_SECRET)")
    return key
