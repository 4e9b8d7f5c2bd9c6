"""PynamoDB's errors in our words, their cause kept."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException, TransactWriteError

from chalicelib.domain.errors import AutoStopError, CloudError, ConflictError, ThrottledError

if TYPE_CHECKING:
    from collections.abc import Iterator

_THROTTLED = frozenset(
    {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "ThrottlingError"}
)
CONDITION = "ConditionalCheckFailedException"
CANCELLED = "TransactionCanceledException"
CONFLICT = "TransactionConflictException"
OVERTAKEN = frozenset({CONDITION, CONFLICT})
_RETRYABLE = frozenset({"InternalServerError", CONFLICT, CANCELLED})


@contextmanager
def translated() -> Iterator[None]:
    """Raise ThrottledError or CloudError for whatever PynamoDB raises that was not expected.

    A cancelled transaction passes: only its caller knows what its conditions mean.
    """
    try:
        yield
    except TransactWriteError:
        raise
    except PynamoDBException as error:
        raise as_cloud_error(error) from error


def as_cloud_error(error: PynamoDBException) -> CloudError:
    """DynamoDB's own code and message."""
    code = error.cause_response_code or type(error).__name__
    message = error.cause_response_message or str(error)
    if code in _THROTTLED:
        return ThrottledError(code, message)
    return CloudError(code, message, retryable=code in _RETRYABLE)


def no_condition(error: TransactWriteError) -> AutoStopError:
    """What to raise for a transaction that failed for another reason than its conditions."""
    if is_conflict(error):
        return ConflictError("Somebody else is writing to the same things; try again.")
    return as_cloud_error(error)


def condition_failed(error: PynamoDBException) -> bool:
    """Whether a single write's condition did not hold."""
    return error.cause_response_code == CONDITION


def overtaken(error: PynamoDBException) -> bool:
    """Whether somebody else wrote, or is writing, to the item of a single write: what it was made from is old."""
    return error.cause_response_code in OVERTAKEN


def failed_conditions(error: TransactWriteError) -> tuple[int, ...] | None:
    """Which actions of a transaction failed their condition, by place; None if it failed for another reason.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html (CancellationReasons)
    """
    if error.cause_response_code != CANCELLED:
        return None
    places = tuple(
        n for n, r in enumerate(error.cancellation_reasons) if r is not None and r.code == "ConditionalCheckFailed"
    )
    return places or None


def is_conflict(error: TransactWriteError) -> bool:
    """Whether another transaction was at the same items: the same call may succeed now."""
    reasons = [reason for reason in error.cancellation_reasons if reason is not None]
    return error.cause_response_code == CANCELLED and any(reason.code == "TransactionConflict" for reason in reasons)
