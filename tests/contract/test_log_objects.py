"""What LogObjects promises, of memory and of S3 (moto)."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import boto3
import pytest

from chalicelib.adapters.aws.log_objects import LONGEST, S3LogObjects
from chalicelib.adapters.memory.log_objects import FakeLogObjects
from chalicelib.domain.errors import NotFoundError, UnreadableLogError
from tests.contract.conftest_aws import REGION, fresh_aws

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "alb-logs"


class InMemory:
    def __init__(self) -> None:
        self.objects = FakeLogObjects()

    def put(self, key: str, body: bytes) -> None:
        self.objects.files[BUCKET, key] = body


class InS3:
    def __init__(self) -> None:
        self._s3 = boto3.client("s3", region_name=REGION)
        self._s3.create_bucket(Bucket=BUCKET)
        self.objects = S3LogObjects(REGION)

    def put(self, key: str, body: bytes) -> None:
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=body)


@pytest.fixture(params=["memory", "moto"])
def bench(request: pytest.FixtureRequest) -> Iterator[InMemory | InS3]:
    if request.param == "memory":
        yield InMemory()
        return
    with fresh_aws():
        yield InS3()


def test_the_lines_of_a_file_come_as_they_were_written(bench):
    bench.put("a/b c+d.log.gz", gzip.compress(b"one\ntwo\n\nthree"))
    assert list(bench.objects.lines(BUCKET, "a/b c+d.log.gz")) == [b"one", b"two", b"", b"three"]


def test_several_gzip_parts_in_a_row_are_one_file(bench):
    bench.put("x", gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    assert list(bench.objects.lines(BUCKET, "x")) == [b"one", b"two"]


def test_an_endless_line_comes_in_pieces(bench):
    bench.put("x", gzip.compress(b"a" * (3 * LONGEST)))
    assert [len(piece) for piece in bench.objects.lines(BUCKET, "x")] == [LONGEST] * 3


def test_a_file_that_is_not_there_is_said(bench):
    with pytest.raises(NotFoundError):
        list(bench.objects.lines(BUCKET, "none"))


@pytest.mark.parametrize("body", [b"plain text", gzip.compress(b"one\n" * 100_000)[:-4], b"\x1f\x8b\x08"])
def test_what_is_no_whole_gzip_file_is_said(bench, body):
    bench.put("x", body)
    with pytest.raises(UnreadableLogError):
        list(bench.objects.lines(BUCKET, "x"))
