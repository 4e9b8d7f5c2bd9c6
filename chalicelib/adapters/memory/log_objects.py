"""Files of logs in memory."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from chalicelib.adapters.aws.log_objects import unpacked
from chalicelib.domain.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakeLogObjects:
    """Implements LogObjects. `files`: by bucket and key, compressed as they would be."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}

    def lines(self, bucket: str, key: str) -> Iterator[bytes]:
        if (bucket, key) not in self.files:
            raise NotFoundError("log file", key)
        yield from unpacked(io.BytesIO(self.files[bucket, key]))
