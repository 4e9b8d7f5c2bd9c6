"""Files of logs that somebody else writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class LogObjects(Protocol):
    """Objects of compressed lines in S3."""

    def lines(self, bucket: str, key: str) -> Iterator[bytes]:
        """The lines of one object as they are read, without their ends; what is longer than 64 KB comes in pieces.

        Raises NotFoundError, UnreadableLogError (what was read until then stands), CloudError, ThrottledError.
        """
        ...
