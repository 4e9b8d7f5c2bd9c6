"""boto3 clients: made on first use, one a service and region, with bounded waiting."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

_CONFIG = Config(connect_timeout=2, read_timeout=8, retries={"mode": "standard", "total_max_attempts": 3})


@cache
def client(service: str, region: str) -> Any:  # noqa: ANN401  (each adapter names the type it gets)
    """A client; AWS_ENDPOINT_URL is honoured by boto3 itself."""
    return boto3.client(service, region_name=region, config=_CONFIG)  # type: ignore[call-overload]
