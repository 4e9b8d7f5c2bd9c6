"""botocore's errors in our words, their cause kept, and whether a retry can help."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain.errors import CloudError, ThrottledError

if TYPE_CHECKING:
    from collections.abc import Iterator

# https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
_THROTTLED = frozenset({"RequestLimitExceeded", "Throttling", "ThrottlingException", "RequestThrottled"})
_TRANSIENT = frozenset(
    {
        "InternalError",
        "InternalErrorException",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceFault",
        "RequestTimeout",
        "ServiceUnavailable",
        "Unavailable",
    }
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise CloudError or ThrottledError for whatever AWS or the way to it raises."""
    try:
        yield
    except ClientError as error:
        raise from_client_error(error) from error
    except BotoCoreError as error:
        raise CloudError(type(error).__name__, str(error), retryable=True) from error


@contextmanager
def passed_over(codes: frozenset[str]) -> Iterator[None]:
    """As `translated`, but these codes are no error: what was to be done is done already."""
    try:
        with translated():
            yield
    except CloudError as error:
        if error.code not in codes:
            raise


def from_client_error(error: ClientError) -> CloudError:
    """AWS's own code and message."""
    code = error.response.get("Error", {}).get("Code", "Unknown")
    message = error.response.get("Error", {}).get("Message", str(error))
    if code in _THROTTLED:
        return ThrottledError(code, message)
    return CloudError(code, message, retryable=code in _TRANSIENT)
