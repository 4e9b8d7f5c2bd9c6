"""`alb_logs`: S3 says that an ALB has written a file of its access log. Losing one costs nothing but a later stop."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote_plus

from chalice.app import Blueprint

from chalicelib.bootstrap import evidence
from chalicelib.domain.errors import NotFoundError
from chalicelib.entrypoints import logging_setup

bp = Blueprint(__name__)
log = logging.getLogger(__name__)


@bp.lambda_function(name="alb_logs")
def alb_logs(event: dict[str, Any], context: object) -> dict[str, int]:
    """S3 calls this; what raises is sent again by Lambda, twice. Answers how many files were read."""
    del context
    logging_setup.set_up()
    read = 0
    for bucket, key in files(event):
        try:
            report = evidence.ingest_alb_logs().run(bucket, key)
        except NotFoundError:
            log.warning("a log file is gone before it was read", extra={"bucket": bucket, "key": key})
            continue
        log.info("ingested", extra=asdict(report) | {"bucket": bucket, "key": key})
        read += 1
    return {"read": read}


def files(event: object) -> list[tuple[str, str]]:
    """Bucket and key of each object in an event; what is none of S3's has none, as its s3:TestEvent.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    records = event.get("Records") if isinstance(event, dict) else None
    found = []
    for record in records if isinstance(records, list) else []:
        try:
            bucket, key = record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]
        except (KeyError, TypeError):
            continue
        if isinstance(bucket, str) and isinstance(key, str) and key.endswith(".log.gz"):
            found.append((bucket, unquote_plus(key)))
    return found
