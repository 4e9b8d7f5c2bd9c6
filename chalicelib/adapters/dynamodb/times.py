"""Times as whole microseconds since the epoch: numbers that sort, compare and come back exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """A time as a number."""
    return (at - _EPOCH) // _MICROSECOND


def from_micros(number: float) -> datetime:
    """The time that the number stands for."""
    return _EPOCH + timedelta(microseconds=int(number))


def maybe_micros(at: datetime | None) -> int | None:
    """None stays None."""
    return None if at is None else micros(at)


def maybe_from(number: float | None) -> datetime | None:
    """None stays None."""
    return None if number is None else from_micros(number)
