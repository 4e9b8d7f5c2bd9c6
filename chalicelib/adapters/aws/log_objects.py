"""Files of logs in S3: compressed, of any size, and written by others."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any, cast

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.errors import translated
from chalicelib.domain.errors import CloudError, NotFoundError, UnreadableLogError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 64 * 1024


class S3LogObjects:
    """Implements LogObjects."""

    def __init__(self, region: str) -> None:
        self._region = region

    def lines(self, bucket: str, key: str) -> Iterator[bytes]:
        try:
            with translated():
                body = client("s3", self._region).get_object(Bucket=bucket, Key=key)["Body"]
        except CloudError as error:
            if error.code in {"NoSuchKey", "NoSuchBucket"}:
                raise NotFoundError("log file", key) from error
            raise
        yield from unpacked(body)


def unpacked(body: Any) -> Iterator[bytes]:  # noqa: ANN401  (botocore's StreamingBody, or any open file)
    """Line by line, never the whole."""
    with translated(), gzip.GzipFile(fileobj=cast("Any", body)) as file:
        try:
            while line := file.readline(LONGEST):
                yield line.rstrip(b"\n")
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableLogError(f"is no whole gzip file: {error}") from error
