"""What operators are told of the work itself: numbers that alarms stand on, and where its time goes."""

from __future__ import annotations

from contextlib import nullcontext
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Measure(Enum):
    """A metric: its name, its unit in CloudWatch, and whether single values matter or their sum.

    CloudWatch takes 0.30 USD a month for each, prorated by the hours in which it is told, so there are few (ADR 25).
    """

    DECISIONS = ("Decisions", "Count", True)
    STARTS = ("Starts", "Count", True)
    STOPS = ("Stops", "Count", True)
    FAILURES = ("Failures", "Count", True)
    TIME_TO_UP = ("TimeToUp", "Seconds", False)
    BLIND = ("Blind", "Count", True)
    CONFIG_AGE = ("ConfigAge", "Seconds", False)

    def __init__(self, label: str, unit: str, summed: bool) -> None:  # noqa: FBT001  (of an enum's tuple)
        self.label, self.unit, self.summed = label, unit, summed


class Measures(Protocol):
    """Collects them while an invocation lasts."""

    def add(self, measure: Measure, value: float = 1.0, of: str | None = None) -> None:
        """Count it. `of`: what the value is of, as a reason, a rule or a proxy: told beside it, never a dimension."""
        ...

    def flush(self) -> None:
        """Tell what was collected since the last time, if anything was."""
        ...


class Annotate(Protocol):
    """Adds what a step turned out to be about."""

    def __call__(self, **annotations: str | int) -> None:
        """Put them on the step."""
        ...


class Tracer(Protocol):
    """Where the time of a traced invocation goes."""

    def step(self, name: str, **annotations: str | int) -> AbstractContextManager[Annotate]:
        """What happens inside, under a name; nothing at all where the invocation is not traced."""
        ...


def no_annotation(**annotations: str | int) -> None:
    """Of a step that nobody traces."""


class Unmeasured:
    """Measures and traces nothing."""

    def add(self, measure: Measure, value: float = 1.0, of: str | None = None) -> None:
        """Not kept."""

    def flush(self) -> None:
        """Nothing to tell."""

    def step(self, name: str, **annotations: str | int) -> AbstractContextManager[Annotate]:
        """Not traced."""
        del name, annotations
        return nullcontext(no_annotation)


UNMEASURED = Unmeasured()
